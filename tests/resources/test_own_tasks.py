"""Tasks, messages and calls of a resource: refused while it is not served. ``tests/hooks`` has the rest."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

import wsframe
from tests.recorder import Recorder
from tests.wire import serving


async def test_resource_that_is_not_served_refuses_work() -> None:
    resource = wsframe.Resource()
    assert resource.post("x") is False
    with pytest.raises(RuntimeError, match="Resource is not being served"):
        resource.post_from_thread("x")
    with pytest.raises(RuntimeError, match="not being served"):
        resource.start_soon(trio.lowlevel.checkpoint)
    with pytest.raises(RuntimeError, match="not being served"):
        await resource.call(trio.lowlevel.checkpoint)


async def test_start_soon_while_the_resource_stops_is_a_runtime_error() -> None:
    class TooLate(Recorder):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            yield
            with pytest.raises(RuntimeError):
                self.start_soon(trio.lowlevel.checkpoint)
            self.journal.add("refused")

    room = TooLate()
    async with serving(room):
        pass
    assert room.notes == ["refused"]
