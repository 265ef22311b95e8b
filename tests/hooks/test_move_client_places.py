"""Moves by path, and ends in the middle of a move."""

import logging
from collections.abc import Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.local_server import local_server_of
from tests.rooms import opened
from tests.sides import Side, Target, ended
from tests.wire import close, connected, serving, text
from wsframe import Client, Registry, Resource

# By path


class Mixed(Target):
    scope = "path"


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.register("/", Side("/rooms/a"))
    registry.register_factory("/rooms/{room}", lambda request: made(request.path_params["room"]))
    return registry


def made(name: str) -> Resource | None:
    if name == "broken":
        raise KeyError(name)
    if name == "none":
        return None
    return Mixed() if name == "mixed" else Target()


async def test_path_leads_where_it_would_lead_a_newcomer(registry: Registry) -> None:
    lobby = registry.find("/")
    assert isinstance(lobby, Side)
    async with opened(registry) as server, connected(server, "/rooms/a") as first, connected(server) as second:
        await second.send(text("go"), text("1"))
        await lobby.journal.until("moved None")
        room = server.find("/rooms/a")
        assert isinstance(room, Target)
        await room.journal.until("text 1")
        assert room.notes == ["connected", "connected", "text 1"]
        assert [client.path for client in room.clients] == ["/rooms/a", "/"], "the request is that of the connection"
        for peer in (first, second):
            await peer.finish()
        await ended(server, first, second)
        await wait_all_tasks_blocked()
        assert server.find("/rooms/a") is None


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/rooms/none",
        "/rooms/broken",
        "/rooms/mixed",
        "",
        "rooms/a",
        "/rooms/a b",
        "/rooms/é",
        "/rooms/a?b",
        "/a\r\n",
    ],
)
async def test_path_that_leads_nowhere_is_false_with_a_line(
    registry: Registry, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wsframe")
    lobby = registry.find("/")
    assert isinstance(lobby, Side)
    lobby.target = path
    async with opened(registry) as server, connected(server) as peer:
        await peer.send(text("go"), text("1"))
        await lobby.journal.until("text 1")
        assert server.statistics().resources == 1
    assert lobby.results == [False]
    lines = [record.message for record in caplog.records if "not moved" in record.message]
    assert len(lines) == 1
    assert f"/: not moved to {path!r}: " in lines[0]


# Closes, failures and drains in the middle


async def test_failing_goodbye_costs_the_client_and_nobody_else(sides: tuple[Side, Target]) -> None:
    _, room = sides

    class Failing(Side):
        async def disconnected(self, client: Client) -> None:
            await super().disconnected(client)
            raise KeyError

    lobby = Failing(room)
    async with serving({"/": lobby, "/room": room}) as server, connected(server, "/room") as other:
        async with connected(server) as peer:
            await peer.send(text("go"), text("1"))
            assert (await peer.receive_close())[0] == 1011
            await peer.send(close(1011))
            await peer.end()
        await room.journal.until("ended 1011")
        await other.send(text("2"))
        await room.journal.until("text 2")
    assert room.notes.count("ended 1011") == lobby.notes.count("moved None") == 1


ENDS: dict[str, Callable[[Client], object]] = {
    "close": lambda client: client.close(4000),
    "reject": lambda client: client.reject(4000),
    "abort": Client.abort,
}


@pytest.mark.parametrize("end", ENDS)
async def test_move_that_has_begun_takes_place_whatever_ends_the_client(sides: tuple[Side, Target], end: str) -> None:
    lobby, room = sides
    lobby.goodbye = trio.Event()
    async with serving({"/": lobby, "/room": room}) as server, connected(server) as peer:
        await peer.send(text("go"), text("1"))
        await lobby.journal.until("moved None")
        client = next(iter(local_server_of(server).reactor.links.values())).client
        assert isinstance(client, Client)
        ENDS[end](client)
        assert client.move_to(lobby) is False
        lobby.goodbye.set()
        await room.journal.until("connected")
        if end != "abort":
            assert (await peer.receive_close())[0] == 4000
            await peer.send(close(4000))
        await peer.end()
        await ended(server, peer)
    delivered = ["text 1"] if end == "close" else []
    assert room.notes == ["connected", *delivered, f"ended {1006 if end == 'abort' else 4000}"]
    assert lobby.notes == ["connected", "text go", "moved None"]


async def test_dismissed_target_closes_who_is_on_the_way(sides: tuple[Side, Target]) -> None:
    lobby, room = sides
    lobby.goodbye = trio.Event()
    registry = Registry()
    registry.register("/", lobby)
    registry.register("/room", room)
    async with opened(registry) as server, connected(server) as peer:
        await peer.send(text("go"))
        await lobby.journal.until("moved None")
        registry.unregister("/room", close_clients=True)
        lobby.goodbye.set()
        assert (await peer.receive_close())[0] == 1001
        await peer.send(close(1001))
        await peer.end()
        await ended(server, peer)
    assert room.notes == []
