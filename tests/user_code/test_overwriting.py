"""User code that overwrites attributes of wsframe harms its client alone."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.user_code.breaking import Echo, around, check_well
from wsframe import Client
from wsframe.testing import open_kit


@pytest.mark.usefixtures("log")  # the line at the end of each connection reads attributes too
@pytest.mark.parametrize("then", ["close", "raise"])
@pytest.mark.parametrize("name", ["_link", "_outbox", "_resource", "_request", "_tasks", "_context", "_id"])
async def test_an_attribute_of_a_client_that_is_overwritten_costs_no_other_client(
    autojump_clock: MockClock, name: str, then: str
) -> None:
    class Overwriting(Echo):
        departed = 0

        async def received_text(self, client: Client, message: str) -> None:
            if message == "overwrite":
                setattr(client, name, None)
            elif message == "raise":
                raise ValueError
            else:
                client.send_text(message)

        async def disconnected(self, client: Client) -> None:
            self.departed += 1

    room = Overwriting()
    async with open_kit(around(room), "/x") as kit:
        broken, beside = await kit.connect(), await kit.connect()
        broken.send_text("overwrite")
        if then == "close":
            broken.close()
        else:
            broken.send_text("raise")
        await trio.sleep(1)
        beside.send_text("still here")
        assert await beside.receive_text() == "still here"
        await check_well(kit)
        await check_well(kit, "/x")
        kit.server.close()
        assert (await beside.closed()).code == 1001
        await kit.server.closed()
    assert room.departed >= 2
