"""Newcomers that are delivered to another resource."""

from typing import cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.local_server import local_server_of
from tests.recorder import Recorder
from tests.rooms import opened
from tests.sides import Broken, Side, Target, TargetByClient, ended
from tests.wire import close, connected, serving, status, text
from wsframe import Accept, Client, Limits, Registry, Reject, Request, Resource


class Door(Recorder):
    """Delivers every newcomer to another resource."""

    def __init__(self, target: Resource) -> None:
        super().__init__()
        self.target = target

    async def accept_client(self, request: Request) -> Accept:
        return Accept(data="through the door", deliver_to=self.target)


class Hall(Side):
    max_clients = 1
    limits = Limits(max_message=5)
    subprotocols = ("hall",)

    async def accept_client(self, request: Request) -> Reject:
        return Reject(403)


async def test_delivered_newcomer_is_a_client_of_the_other_in_every_respect() -> None:
    hall = Hall()
    door = Door(hall)
    async with serving(door) as server:
        async with connected(server, fields={"Sec-WebSocket-Protocol": "other, hall"}) as peer:
            await hall.journal.until("connected")
            client = hall.only
            assert (client.resource, client.data, client.subprotocol) == (hall, "through the door", "hall")
            assert len(door.clients) == 0
            assert await status(server) == 503, "its max_clients count"
            await peer.send(text("12345"), text("123456"))
            assert (await peer.receive_close())[0] == 1009, "its limits count"
            await peer.send(close(1009))
            await peer.end()
        await hall.journal.until("ended 1009")
        await ended(server)
        await wait_all_tasks_blocked()
        assert server.statistics().resources == 1, "it is not registered: it ends with its last client"
    assert (door.notes, hall.notes) == ([], ["connected", "text 12345", "ended 1009"])


async def test_delivery_to_itself_changes_nothing() -> None:
    class Single(Door):
        max_clients = 1  # the one place it has is enough

    door = Single(Resource())
    door.target = door
    async with serving(door) as server, connected(server):
        await door.journal.until("connected")
    assert door.notes == ["connected", "disconnected 1006"]


async def test_delivery_to_what_cannot_start_is_503(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Door(Broken())) as server:
        assert await status(server) == 503
        await ended(server)
        await wait_all_tasks_blocked()
        assert server.statistics().resources == 1


async def test_delivery_to_no_resource_is_500(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Door(cast("Resource", "/room"))) as server:
        assert await status(server) == 500
    assert "deliver_to=...) is a resource" in caplog.text


async def test_delivery_leaves_no_resource_behind_that_was_made_for_the_newcomer() -> None:
    hall = Target()
    registry = Registry()
    registry.register("/hall", hall)
    registry.register_factory("/{room}", lambda request: Door(hall))
    async with opened(registry) as server, connected(server, "/a") as peer:
        await hall.journal.until("connected")
        await wait_all_tasks_blocked()
        assert server.statistics().resources == 1
        await peer.finish()
        await ended(server, peer)


async def test_client_whose_target_is_cut_off_first_is_ended() -> None:
    """A goodbye that shields itself may come back to a target that is gone."""

    class Shielded(Side):
        async def disconnected(self, client: Client) -> None:
            await super().disconnected(client)
            with trio.CancelScope(shield=True):
                await self.release.wait()

    for room in (Target(), TargetByClient()):
        lobby = Shielded(room)
        async with serving({"/": lobby, "/room": room}) as server, connected(server) as peer:
            await peer.send(text("go"), text("1"))
            await lobby.journal.until("moved None")
            server.hurry()
            await wait_all_tasks_blocked()
            assert server.statistics().resources == 1, "the room is gone, the lobby is in its hook"
            lobby.release.set()
            await server.closed()
            assert local_server_of(server).reactor.budget.held == 0
            assert local_server_of(server).places._headcount.by_place == {}
        assert (lobby.notes[-1], room.notes) == ("moved None", [])
