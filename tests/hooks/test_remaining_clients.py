"""The last hooks of clients that are still there when a life is cut off."""

from __future__ import annotations

import pytest
import trio

from tests.recorder import Recorder
from tests.wire import connected, serving, text
from wsframe import Timeouts
from wsframe.resources.resource import Ordering


@pytest.mark.parametrize("ordering", ["resource", "client"])
async def test_disconnected_of_one_client_that_fails_costs_no_other_its_own(ordering: Ordering) -> None:
    class Failing(Recorder):
        async def disconnected(self, client: object) -> None:
            self.journal.add("disconnected")
            if self.notes.count("disconnected") == 1:
                raise ValueError

    room = type("Room", (Failing,), {"ordering": ordering})()
    async with (
        serving(room, timeouts=Timeouts(drain=0.1, close=0.1)) as server,
        connected(server, trailing=text("hold")),
        connected(server, trailing=text("hold")),
    ):
        await room.journal.until("text hold")
        server.close()
        await server.closed()
    assert room.notes.count("disconnected") == room.notes.count("connected")


@pytest.mark.parametrize("ordering", ["resource", "client"])
async def test_goodbyes_that_never_end_are_cut_off_together(ordering: Ordering) -> None:
    class Slow(Recorder):
        async def disconnected(self, client: object) -> None:
            self.journal.add("begins")
            await trio.sleep_forever()

    room = type("Room", (Slow,), {"ordering": ordering})()
    async with (
        serving(room, timeouts=Timeouts(drain=0.1, close=0.1)) as server,
        connected(server),
        connected(server),
        connected(server),
    ):
        await room.journal.until("connected", 3)
        server.close()
        await server.closed()
    assert room.notes.count("begins") == 3
