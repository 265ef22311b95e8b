"""Unregistering with the clients."""

from collections.abc import Iterator

import pytest
import trio

import wsframe
from tests.rooms import BOUND, Room, Rooms, opened, resources_gone
from tests.wire import Peer, close, connected, text
from wsframe import Registry, Request
from wsframe.resources.routing.registry import global_registry


@pytest.fixture
def clean_global_registry() -> Iterator[None]:
    yield
    for path in global_registry.paths():
        global_registry.unregister(path)


async def dismissed(peer: Peer) -> None:
    """Take the close frame for a client that is no longer served, and answer it."""
    assert await peer.receive_close() == (1001, "no longer served")
    await peer.send(close(1001))
    assert await peer.receive() is None


@pytest.mark.parametrize("path", ["/a", "/{room}"])
async def test_unregistering_may_close_the_clients(path: str) -> None:
    hall = Room("hall")
    registry = Registry()
    registry.register(path, hall)
    async with opened(registry) as server, connected(server, "/a") as peer:
        await peer.receive_text()
        assert registry.unregister(path, close_clients=True) is True
        await dismissed(peer)
        await resources_gone(server)
    assert registry.unregister(path, close_clients=True) is False


async def test_clients_of_a_resource_with_another_path_are_not_closed() -> None:
    hall = Room("hall")
    registry = Registry()
    registry.register("/a", hall)
    registry.register("/b", hall)
    async with opened(registry) as server, connected(server, "/a") as peer:
        await peer.receive_text()
        assert registry.unregister("/a", close_clients=True) is True
        await peer.send(text("still served"))
        await hall.journal.until("text still served")


async def test_unregistering_a_factory_may_close_the_clients_of_all_that_it_made(
    registry: Registry, rooms: Rooms
) -> None:
    other = Room("other")
    registry.register("/other", other)
    async with (
        opened(registry) as server,
        connected(server, "/rooms/a") as first,
        connected(server, "/rooms/b") as second,
        connected(server, "/other") as third,
    ):
        for peer in (first, second, third):
            await peer.receive_text()
        registry.unregister("/rooms/{room}", close_clients=True)
        for peer in (first, second):
            await dismissed(peer)
        await third.send(text("still served"))
        await other.journal.until("text still served")
        await resources_gone(server, 1)


async def test_those_on_their_way_in_are_closed_as_well() -> None:
    class Gate(Room):
        def __init__(self, path: str) -> None:
            super().__init__(path)
            self.asked, self.open = trio.Event(), trio.Event()

        async def accept_client(self, request: Request) -> None:
            self.asked.set()
            await self.open.wait()

    gate = Gate("gate")
    registry = Registry()
    registry.register("/", gate)

    async def come() -> None:
        async with connected(server) as peer:
            await dismissed(peer)

    async with opened(registry) as server, trio.open_nursery() as nursery:
        nursery.start_soon(come)
        await gate.asked.wait()
        registry.unregister("/", close_clients=True)
        gate.open.set()
    assert gate.notes == []


@pytest.mark.usefixtures("clean_global_registry")
async def test_global_unregistering_may_close_the_clients() -> None:
    wsframe.register_global_resource("/a", Room("hall"))
    with trio.fail_after(BOUND):
        async with wsframe.open_server(port=0) as server, connected(server, "/a") as peer:
            await peer.receive_text()
            wsframe.unregister_global_resource("/a", close_clients=True)
            await dismissed(peer)
