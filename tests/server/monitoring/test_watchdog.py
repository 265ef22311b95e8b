"""The code that keeps the event loop busy is named while it does so."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

import wsframe
from tests.hostile.place import Place, Recorder
from tests.patience import PATIENCE
from wsframe.server.monitoring.watchdog import OWN_FILES, Watchdog, describe_frames, keeper, step_of


def block_until(condition: Callable[[], object]) -> None:
    """Keep the loop until a thread has done something."""
    until = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)


async def test_a_hook_that_keeps_the_loop_is_named_with_its_resource_and_place_while_it_does(
    plain: Place, caplog: pytest.LogCaptureFixture
) -> None:
    class Blocking(Recorder):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            block_until(lambda: told_of(caplog))
            self.note("told" if told_of(caplog) else "not told")

    resource = Blocking()
    async with plain.serve(resource) as served:
        peer = await served.open()
        await peer.text("go")
        await resource.until(lambda: len(resource.log) > 1)
        assert resource.log == ["+", "told"]
    (record,) = told_of(caplog)
    assert record.getMessage().startswith("received_text of Blocking has kept the server for more than a second")
    assert record.stack_info is not None
    assert "block_until(lambda: told_of(caplog))" in record.stack_info


def told_of(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if "has kept the server" in record.getMessage()]


async def test_a_task_and_accept_client_are_named_too(plain: Place, caplog: pytest.LogCaptureFixture) -> None:
    class Blocking(Recorder):
        async def accept_client(self, request: wsframe.Request) -> None:
            block_until(lambda: told_of(caplog))
            self.start_soon(self.tick)

        async def tick(self) -> None:
            for _ in range(3):  # the watchdog must hear that the loop has turned: the order in a turn is trio's
                await trio.lowlevel.checkpoint()
            block_until(lambda: len(told_of(caplog)) > 1)
            self.note("ticked")

    resource = Blocking()
    async with plain.serve(resource) as served:
        await served.open()
        await resource.until(lambda: "ticked" in resource.log)
    names = [record.getMessage().partition(" has kept")[0] for record in told_of(caplog)]
    assert names == ["accept_client of Blocking", "tick of Blocking"]


async def test_a_function_that_is_no_method_of_a_resource_is_named_itself(
    plain: Place, caplog: pytest.LogCaptureFixture
) -> None:
    async with plain.serve(Recorder()):
        block_until(lambda: told_of(caplog))
    (record,) = told_of(caplog)
    assert record.stack_info is not None
    assert "test_a_function_that_is_no_method_of_a_resource_is_named_itself" in record.stack_info
    assert record.getMessage().startswith("TrioFixture.run has kept")


async def test_no_thread_is_left_when_a_server_has_ended(plain: Place) -> None:
    async with plain.serve(Recorder()):
        assert "wsframe watchdog" in {thread.name for thread in threading.enumerate()}
    assert "wsframe watchdog" not in {thread.name for thread in threading.enumerate()}


def test_where_no_task_runs_nothing_is_named() -> None:
    assert step_of(None) == []
    assert keeper([]) == ("", [])
    assert describe_frames([]) == ""


async def test_its_end_does_not_wait_for_an_answer_of_the_loop() -> None:
    """The thread can be about to ask just as the server ends."""
    looked = threading.Event()

    def look(token: trio.lowlevel.TrioToken) -> None:
        looked.set()
        block_until(watchdog._over.is_set)

    watchdog = Watchdog(look)
    with watchdog:
        block_until(looked.is_set)
    watchdog._thread.join(PATIENCE)
    assert not watchdog._thread.is_alive()


def test_the_files_of_all_rooms_count_as_our_own() -> None:
    packages = [Path(str(one.__file__)).resolve().parent for one in (wsframe, trio)]
    assert [f"{folder}{os.sep}" for folder in packages] == [*OWN_FILES]
