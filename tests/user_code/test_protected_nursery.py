"""A nursery that user code cannot cancel is otherwise like one of trio."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext

import pytest
import trio
from trio.testing import MockClock

from tests.user_code.acts import leave_open, leave_past, leave_two
from tests.user_code.breaking import KEPT, Panic
from tests.user_code.test_finalizers import leave_nursery, leave_tasks
from wsframe.user_code.locked_scope import FORBIDDEN
from wsframe.user_code.program import Program, program
from wsframe.user_code.protected_nursery import ProtectedNursery


def show() -> trio.CancelScope:
    nursery = trio.lowlevel.current_task().parent_nursery
    assert nursery is not None
    return nursery.cancel_scope


async def fail() -> None:
    raise ValueError


async def panic() -> None:
    raise Panic


async def fail_in_a_group() -> None:
    raise ExceptionGroup("several", [ValueError(), KeyError()])


async def raise_a_kept_cancellation() -> None:
    raise KEPT


async def test_it_waits_for_its_tasks_and_for_those_they_start(autojump_clock: MockClock) -> None:
    notes = []

    async def second() -> None:
        await trio.sleep(1)
        notes.append("second")

    async def first() -> None:
        await trio.sleep(1)
        nursery.start_soon(second)
        notes.append("first")

    async with ProtectedNursery() as nursery:
        nursery.start_soon(first)
        nursery.nursery.start_soon(trio.sleep_forever)
    assert notes == ["first", "second"]


async def test_its_owner_cancels_its_tasks_and_its_block() -> None:
    async with ProtectedNursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        nursery.cancel()
        await trio.sleep_forever()


async def test_a_cancellation_around_it_passes(autojump_clock: MockClock) -> None:
    ended = []

    async def task() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(True)

    with trio.move_on_after(1) as scope:
        async with ProtectedNursery() as nursery:
            nursery.start_soon(task)
    assert scope.cancelled_caught
    assert ended == [True]


@pytest.mark.parametrize("where", ["task", "block", "start"])
async def test_an_error_ends_the_other_tasks_and_passes(where: str) -> None:
    async def start(*, task_status: trio.TaskStatus[int]) -> None:
        task_status.started(1)
        raise ValueError

    async def run() -> None:
        async with ProtectedNursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            if where == "task":
                nursery.start_soon(fail)
            elif where == "block":
                await fail()
            else:
                assert await nursery.start(start) == 1
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as info:
        await run()
    assert info.group_contains(ValueError)


async def test_its_scope_is_shown_and_refuses_every_change() -> None:
    async def task() -> None:
        scope = show()
        assert (scope.cancel_called, scope.shield, scope.deadline) == (False, False, float("inf"))
        with pytest.raises(RuntimeError, match=FORBIDDEN):
            scope.cancel()
        with pytest.raises(RuntimeError, match=FORBIDDEN):
            scope.deadline = 0
        with pytest.raises(RuntimeError, match=FORBIDDEN):
            scope.shield = True

    async with ProtectedNursery() as nursery:
        nursery.start_soon(task)


@pytest.mark.parametrize("fails", [fail, panic, fail_in_a_group, raise_a_kept_cancellation])
async def test_a_task_of_others_fails_alone_and_is_logged_at_once(
    caplog: pytest.LogCaptureFixture, fails: Callable[[], Awaitable[None]]
) -> None:
    async with ProtectedNursery() as nursery:
        nursery.nursery.start_soon(fails)
        await trio.testing.wait_all_tasks_blocked()
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert caplog.records[0].exc_info is not None
        nursery.start_soon(trio.lowlevel.checkpoint)
    assert len(caplog.records) == 1


async def test_tasks_of_others_that_fail_leave_nothing_behind() -> None:
    async with ProtectedNursery() as nursery:
        for _ in range(10):
            nursery.nursery.start_soon(fail)
        await trio.testing.wait_all_tasks_blocked()
        assert nursery.nursery._pending_excs == []


async def test_a_task_of_others_that_exits_ends_the_program_at_once() -> None:
    left: list[str] = []
    program.set(Program(debug=False, drain=lambda: left.append("drains"), cut_off=lambda: left.append("cut off")))

    async def leave() -> None:
        sys.exit(3)

    async with ProtectedNursery() as nursery:
        nursery.nursery.start_soon(leave)
        await trio.testing.wait_all_tasks_blocked()
        assert left == ["drains"]
    error = program.get().error
    assert isinstance(error, SystemExit)
    assert error.code == 3


async def test_an_exit_outside_of_a_server_passes() -> None:
    async def leave() -> None:
        sys.exit(3)

    async def run() -> None:
        async with ProtectedNursery() as nursery:
            nursery.nursery.start_soon(leave)
            await trio.testing.wait_all_tasks_blocked()

    with pytest.raises(BaseExceptionGroup) as info:
        await run()
    assert info.group_contains(SystemExit)


async def test_a_task_that_is_needed_begins_again(autojump_clock: MockClock) -> None:
    times = []

    async def task() -> None:
        times.append(trio.current_time())
        if len(times) == 1:
            raise ValueError
        if len(times) == 2:
            trio.CancelScope().__enter__().cancel()
            await trio.sleep(1)
        nursery.cancel()
        await trio.sleep_forever()

    async with ProtectedNursery() as nursery:
        nursery.start_soon(task, again=True)
    assert len(times) == 3


async def test_ctrl_c_ends_it() -> None:
    async def interrupt() -> None:
        raise KeyboardInterrupt

    async def run() -> None:
        async with ProtectedNursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(interrupt, again=True)

    with pytest.raises(BaseExceptionGroup) as info:
        await run()
    assert info.group_contains(KeyboardInterrupt)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("leave", [leave_open, leave_two, leave_past, leave_nursery, leave_tasks])
async def test_its_end_closes_scopes_and_nurseries_that_were_left_open_in_its_block(
    leave: Callable[[], None], fails: bool
) -> None:
    """By ``__del__`` of an object whose last reference was here."""
    task, ended = trio.lowlevel.current_task(), []

    async def work() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(True)

    async with trio.open_nursery():
        before = task._cancel_status, task.child_nurseries
        with pytest.RaisesGroup(ValueError) if fails else nullcontext():
            async with ProtectedNursery() as nursery:
                nursery.start_soon(work)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel()
                leave()
                if fails:
                    raise ValueError
        assert (task._cancel_status, task.child_nurseries) == before
        await trio.lowlevel.checkpoint()
    assert ended == [True]
