"""User code that runs in a task which starts cannot cancel it there."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import trio

from tests.user_code.acts import FORBIDDEN_ACTS, ActingHandler, cancel_eventual_parent, cancel_parent, parent
from tests.user_code.breaking import refused
from wsframe import Registry
from wsframe.testing import open_kit
from wsframe.user_code.locked_scope import FORBIDDEN, locked


async def test_the_scope_around_a_task_is_locked_while_it_starts() -> None:
    async def task(*, task_status: trio.TaskStatus[None]) -> None:
        scope = parent().cancel_scope
        unlock = locked()
        assert not parent().cancel_scope.cancel_called
        for _ in range(2):
            with pytest.raises(RuntimeError, match=FORBIDDEN):
                cancel_parent()
            locked()()  # is locked already, and stays so
        with pytest.raises(RuntimeError, match=FORBIDDEN):
            parent().cancel_scope.deadline = 0
        unlock()
        assert parent().cancel_scope is scope
        task_status.started()
        await trio.lowlevel.checkpoint()
        locked()
        cancel_parent()  # that of the program, which can have it
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        await nursery.start(task)
    assert nursery.cancel_scope.cancelled_caught


@pytest.mark.parametrize("act", [act for act in FORBIDDEN_ACTS if act is not cancel_eventual_parent])
async def test_a_handler_of_the_log_that_cancels_while_the_server_starts_cancels_nothing(
    act: Callable[[], None],
) -> None:
    handler = ActingHandler(act)
    logger = logging.getLogger("wsframe")
    logger.addHandler(handler)
    try:
        async with open_kit(Registry(alone=True)) as kit:  # "nothing is registered yet"
            assert await refused(kit, "/") == 404
    finally:
        logger.removeHandler(handler)
