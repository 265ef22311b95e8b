"""Clients that move from one resource to another."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.local_server import local_server_of
from tests.sides import Broken, BrokenByClient, Side, Target, ended
from tests.wire import PONG, close, connected, frame, serving, status, text
from wsframe import Client, Resource, State


async def test_messages_keep_their_order_and_each_has_one_side(sides: tuple[Side, Target]) -> None:
    lobby, room = sides
    async with serving({"/": lobby, "/room": room}) as server, connected(server) as peer:
        await peer.send(text("1"), text("go"), text("2"), frame(PONG, b"x"), text("3"))
        await room.journal.until("text 3")
        await peer.send(text("4"))
        await room.journal.until("text 4")
        assert (len(lobby.clients), len(room.clients)) == (0, 1)
        await peer.finish()
        await ended(server, peer)
    assert lobby.notes == ["connected", "text 1", "text go", "moved None"]
    assert room.notes == ["connected", "text 2", "pong b'x'", "text 3", "text 4", "ended 1000"]
    assert lobby.results == [True]


async def test_what_comes_during_the_goodbye_waits_for_the_new_side(sides: tuple[Side, Target]) -> None:
    lobby, room = sides
    lobby.goodbye = trio.Event()
    async with serving({"/": lobby, "/room": room}) as server, connected(server) as peer:
        await peer.send(text("go"), text("1"))
        await lobby.journal.until("moved None")
        await peer.send(text("2"), close())
        await wait_all_tasks_blocked()
        assert room.notes == []
        lobby.goodbye.set()
        await room.journal.until("ended 1000")
        assert (await peer.receive_close())[0] == 1000
    assert room.notes == ["connected", "text 1", "text 2", "ended 1000"]


async def test_sending_works_on_both_sides_and_in_the_goodbye(sides: tuple[Side, Target]) -> None:
    class Greeting(Target):
        async def client_connected(self, client: Client) -> None:
            client.send("hello from the room")

    class Leaving(Side):
        async def disconnected(self, client: Client) -> None:
            assert client.state is State.OPEN
            client.send("goodbye from the lobby")

    lobby = Leaving(Greeting())
    async with serving(lobby) as server, connected(server) as peer:
        await peer.send(text("go"))
        assert await peer.receive_text() == "goodbye from the lobby"
        assert await peer.receive_text() == "hello from the room"


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_end_that_has_come_already_moves_along(sides: tuple[Side, Target], end: str) -> None:
    """Messages received whole are delivered however the peer ended, on the side that they are for."""
    lobby, room = sides
    async with serving({"/": lobby, "/room": room}) as server, connected(server) as peer:
        await peer.send(text("hold"), text("go"), text("1"))
        await lobby.journal.until("text hold")
        client = lobby.only
        if end == "close":
            await peer.send(close(4000))
        else:
            await wait_all_tasks_blocked()
            peer.reset()
            await client.closed()
        await wait_all_tasks_blocked()
        lobby.release.set()
        code = 4000 if end == "close" else 1006
        await room.journal.until(f"ended {code}")
        await ended(server, peer)
    assert lobby.notes == ["connected", "text hold", "text go", f"moved {code}"]
    assert room.notes == ["connected", "text 1", f"ended {code}"]


async def test_client_moves_on_and_back(sides: tuple[Side, Target]) -> None:
    lobby, room = sides
    room.target = lobby
    async with serving({"/": lobby, "/room": room}) as server, connected(server) as peer:
        await peer.send(*(text(word) for word in ("go", "a", "go", "b", "go", "c", "go", "d")))
        await lobby.journal.until("text d")
        await peer.finish()
        await ended(server, peer)
    visit = ["text go", "moved None", "connected"]
    assert lobby.notes == ["connected", *visit, "text b", *visit, "text d", "ended 1000"]
    there = ["text go", "moved None"]
    assert room.notes == ["connected", "text a", *there, "connected", "text c", *there]


async def test_all_clients_moved_at_once_arrive(sides: tuple[Side, Target]) -> None:
    lobby, room = sides
    async with serving({"/": lobby, "/room": room}) as server, AsyncExitStack() as peers:
        for number in range(10):
            await peers.enter_async_context(connected(server))
            await lobby.journal.until("connected", number + 1)
        before = list(lobby.clients)
        assert await lobby.call(lambda: [client.move_to(room) for client in lobby.clients]) == [True] * 10
        await room.journal.until("connected", 10)
        assert (set(room.clients), len(lobby.clients)) == (set(before), 0)
        if lobby.ordering == "resource":
            assert list(room.clients) == before, "in the order moved"


async def test_client_may_be_moved_in_its_first_hook(sides: tuple[Side, Target]) -> None:
    _, room = sides

    class Porter(Side):
        async def client_connected(self, client: Client) -> None:
            assert client.move_to(room)

    porter = Porter()
    async with serving(porter) as server, connected(server, trailing=text("1")) as peer:
        await peer.send(text("2"))
        await room.journal.until("text 2")
    assert porter.notes == ["moved None"]
    assert room.notes[:3] == ["connected", "text 1", "text 2"]


async def test_client_may_be_moved_from_a_task_while_its_hook_waits(sides: tuple[Side, Target]) -> None:
    lobby, room = sides
    async with serving({"/": lobby, "/room": room}) as server, connected(server) as peer:
        await peer.send(text("hold"), text("1"))
        await lobby.journal.until("text hold")
        client = lobby.only
        assert client.move_to(room) is True
        assert client.move_to(room) is False, "it is moving"
        assert client.resource is lobby
        lobby.release.set()
        await room.journal.until("text 1")
        assert client.resource is room
    assert lobby.notes == ["connected", "text hold", "moved None"]


# Refusals


async def test_client_that_is_closing_does_not_move(sides: tuple[Side, Target]) -> None:
    lobby, room = sides

    class Closing(Side):
        async def received_text(self, client: Client, message: str) -> None:
            getattr(client, message)()
            self.results.append(client.move_to(room))

    lobby = Closing()
    async with serving({"/": lobby, "/room": room}) as server:
        for how in ("close", "reject", "abort"):
            async with connected(server) as peer:
                await peer.send(text(how))
                if how != "abort":
                    await peer.receive_close()
                    await peer.send(close())
                await peer.end()
        await ended(server)
    assert lobby.results == [False] * 3
    assert room.notes == []


async def test_client_that_is_not_in_its_resource_does_not_move() -> None:
    class Late(Side):
        async def disconnected(self, client: Client) -> None:
            self.results.append(client.move_to(room))

    lobby, room = Late(), Target()
    async with serving({"/": lobby, "/room": room}) as server:
        async with connected(server) as peer:
            await peer.finish()
        await ended(server)
    assert (lobby.results, room.notes) == ([False], [])


async def test_target_has_its_most_clients() -> None:
    class Small(Target):
        max_clients = 1

    lobby, room = Side(), Small()
    lobby.target = room
    async with serving({"/": lobby, "/room": room}) as server:
        async with connected(server) as first, connected(server) as second:
            await first.send(text("go"))
            await room.journal.until("connected")
            assert await status(server, "/room") == 503
            await second.send(text("go"), text("stays"))
            await lobby.journal.until("text stays")
            assert lobby.results == [True, False]
            await first.finish()
            await first.stream.aclose()
            while server.statistics().reserved > 1:  # noqa: ASYNC110
                await trio.sleep(0.005)
            await second.send(text("go"))
            await room.journal.until("connected", 2)
            await second.finish()
        await ended(server)
        counts = local_server_of(server).places._headcount
        assert (counts.by_place, counts.by_network, counts.total) == ({}, {}, 0)


async def test_place_on_the_old_side_is_free_once_the_client_has_left_it() -> None:
    class Small(Side):
        max_clients = 1

    lobby, room = Small(), Target()
    lobby.target = room
    lobby.goodbye = trio.Event()
    async with serving({"/": lobby, "/room": room}) as server, connected(server) as first:
        await first.send(text("go"))
        await lobby.journal.until("moved None")
        assert await status(server) == 503
        lobby.goodbye.set()
        await room.journal.until("connected")
        async with connected(server):
            await lobby.journal.until("connected", 2)


async def test_to_where_it_is_already_is_true_and_nothing_happens() -> None:
    lobby = Side()
    lobby.target = lobby
    async with serving(lobby) as server, connected(server) as peer:
        await peer.send(text("go"), text("1"))
        await lobby.journal.until("text 1")
        lobby.target = "/"
        await peer.send(text("go"), text("2"))
        await lobby.journal.until("text 2")
        await peer.finish()
        await ended(server, peer)
    assert lobby.results == [True, True]
    assert lobby.notes == ["connected", "text go", "text 1", "text go", "text 2", "ended 1000"]


@pytest.mark.parametrize("target", [None, 3, Side])
async def test_target_that_is_none_is_a_type_error(target: object) -> None:
    lobby = Side()
    async with serving(lobby) as server, connected(server):
        await lobby.journal.until("connected")
        with pytest.raises(TypeError, match="a resource or a path"):
            lobby.only.move_to(cast("Resource", target))


async def test_resource_of_another_server_is_a_runtime_error() -> None:
    lobby, other = Side(), Side()
    async with serving(lobby) as server, serving(other), connected(server):
        await lobby.journal.until("connected")
        with pytest.raises(RuntimeError, match="another server"):
            lobby.only.move_to(other)
        assert lobby.only.move_to("/") is True


async def test_moving_from_a_thread_is_a_runtime_error() -> None:
    lobby, room = Side(), Target()
    async with serving(lobby) as server, connected(server):
        await lobby.journal.until("connected")
        client = lobby.only
        with pytest.raises(RuntimeError, match="thread"):
            await trio.to_thread.run_sync(client.move_to, room)


# Targets that do not run, or fail


async def test_target_that_does_not_run_is_started_and_ends_with_its_last_client(sides: tuple[Side, Target]) -> None:
    lobby, room = sides
    async with serving(lobby) as server:
        async with connected(server) as peer:
            await peer.send(text("go"), text("1"))
            await room.journal.until("text 1")
            assert server.statistics().resources == 2
            await peer.finish()
        await ended(server)
        await wait_all_tasks_blocked()
        assert server.statistics().resources == 1
        async with connected(server) as peer:
            await peer.send(text("go"), text("2"))
            await room.journal.until("text 2")


async def test_hooks_of_a_starting_target_wait_until_it_runs(sides: tuple[Side, Target]) -> None:
    kind = type(sides[1])

    class Slow(kind):  # type: ignore[misc, valid-type]
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            await start.wait()
            self.journal.add("running")
            yield

    start, room = trio.Event(), Slow()
    lobby = Side(room)
    async with serving(lobby) as server, connected(server) as peer:
        await peer.send(text("go"), text("1"))
        await lobby.journal.until("moved None")
        await wait_all_tasks_blocked()
        start.set()
        await room.journal.until("text 1")
    assert room.notes[:3] == ["running", "connected", "text 1"]


@pytest.mark.parametrize("kind", [Broken, BrokenByClient])
async def test_target_whose_start_fails_closes_who_comes(kind: type[Broken]) -> None:
    room = kind()
    lobby = Side(room)
    async with serving(lobby) as server:
        async with connected(server) as peer:
            await peer.send(text("go"), text("1"))
            assert await peer.receive_close() == (1011, "internal error")
            await peer.send(close(1011))
            await peer.end()
        await ended(server)
        await wait_all_tasks_blocked()
        assert server.statistics().resources == 1
    assert (lobby.results, lobby.notes[-1], room.notes) == ([True], "moved None", [])


async def test_target_that_has_failed_is_refused() -> None:
    room = Target()
    lobby = Side(room)

    async def fail() -> None:
        raise OSError("no database")

    async with serving({"/": lobby, "/room": room}) as server, connected(server) as peer:
        room.start_soon(fail)
        await wait_all_tasks_blocked()
        await peer.send(text("go"), text("1"))
        await lobby.journal.until("text 1")
    assert (lobby.results, room.notes) == ([False], [])
