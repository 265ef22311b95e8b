"""Clients that move from one resource to another, and newcomers that are delivered to another."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal, cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import wsframe
from tests.recorder import Recorder
from tests.wire import PONG, Peer, close, connected, frame, serving, status, text
from wsframe import Accept, Client, Limits, Registry, Reject, Request, Resource, State
from wsframe.resource import Ordering

BOUND = 15.0


class Side(Recorder):
    """Notes its hooks; ``goodbye`` holds up ``disconnected``; text ``go`` moves the client to ``target``."""

    def __init__(self, target: Resource | str | None = None) -> None:
        super().__init__()
        self.target = target
        self.results: list[bool] = []
        self.goodbye = trio.Event()
        self.goodbye.set()

    async def received_text(self, client: Client, message: str) -> None:
        await super().received_text(client, message)
        if message == "go":
            assert self.target is not None
            self.results.append(client.move_to(self.target))
            assert client.resource is self
            assert client in self.clients

    async def disconnected(self, client: Client) -> None:
        assert client not in self.clients
        where = "moved" if client.resource is not self else "ended"
        self.journal.add(f"{where} {client.close_code}")
        await self.goodbye.wait()


class Target(Side):
    async def client_connected(self, client: Client) -> None:
        assert client.resource is self
        assert client in self.clients
        await super().client_connected(client)


class ByClient(Side):
    ordering: Ordering = "client"  # type: ignore[misc]


class TargetByClient(Target):
    ordering: Ordering = "client"  # type: ignore[misc]


ORDERINGS = [(Side, Target), (ByClient, Target), (Side, TargetByClient), (ByClient, TargetByClient)]


@pytest.fixture(params=ORDERINGS, ids=lambda pair: f"{pair[0].ordering}-{pair[1].ordering}")
def sides(request: pytest.FixtureRequest) -> tuple[Side, Target]:
    """Give two resources, the first of which moves its clients to the second."""
    lobby, room = (kind() for kind in request.param)
    lobby.target = room
    return lobby, room


async def ended(server: wsframe.Server, *peers: Peer) -> None:
    """Let peers close their sockets, and wait until every place has been given back."""
    for peer in peers:
        await peer.stream.aclose()
    while server.statistics().reserved:  # noqa: ASYNC110
        await trio.sleep(0.005)


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
        counts = server._pool._headcount
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


class Broken(Target):
    def running(self) -> trio.CancelScope:  # type: ignore[override]
        raise OSError("no database")


class BrokenByClient(Broken):
    ordering: Ordering = "client"  # type: ignore[misc]


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


# By path


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.register("/", Side("/rooms/a"))
    registry.register_factory("/rooms/{room}", lambda request: made(request.path_params["room"]))
    return registry


def made(name: str) -> Resource | None:
    if name == "broken":
        raise KeyError(name)
    return None if name == "none" else Target()


@asynccontextmanager
async def opened(registry: Registry) -> AsyncIterator[wsframe.Server]:
    with trio.fail_after(BOUND):
        async with wsframe.open_server(registry, port=0) as server:
            yield server


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
    ["/nowhere", "/rooms/none", "/rooms/broken", "", "rooms/a", "/rooms/a b", "/rooms/é", "/rooms/a?b", "/a\r\n"],
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
        client = next(iter(server._reactor.links.values())).client
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


# Delivery to another resource


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
    assert "delivers to what is no resource" in caplog.text


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
            assert server._reactor.budget.held == 0
            assert server._pool._headcount.by_place == {}
        assert (lobby.notes[-1], room.notes) == ("moved None", [])


# Tasks, checks and the time of hooks


class Working(Side):
    """Starts a task for each client, which notes its end; ``stubborn`` keeps it from ending."""

    def __init__(self, target: Resource | None = None) -> None:
        super().__init__(target)
        self.stubborn = trio.Event()
        self.stubborn.set()
        self.error: Exception | None = None

    async def client_connected(self, client: Client) -> None:
        await super().client_connected(client)
        assert client.start_soon(self.work)

    async def work(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await self.stubborn.wait()
            self.journal.add("task over")
            if self.error is not None:
                raise self.error

    async def hook_failed(self, error: Exception, *, hook: str, client: Client | None) -> None:
        self.journal.add(f"failed {hook}")


class WorkingByClient(Working):
    ordering: Ordering = "client"  # type: ignore[misc]


@pytest.mark.parametrize("kind", [Working, WorkingByClient])
async def test_tasks_of_the_old_side_are_over_before_its_goodbye_and_hold_nobody_up(kind: type[Working]) -> None:
    lobby, room = kind(), Working()
    lobby.target = room
    lobby.stubborn = trio.Event()
    async with (
        serving({"/": lobby, "/room": room}) as server,
        connected(server) as other,
        connected(server) as peer,
    ):
        await lobby.journal.until("connected", 2)
        await peer.send(text("go"), text("1"))
        await lobby.journal.until("text go")
        await other.send(text("2"))
        await lobby.journal.until("text 2")
        await wait_all_tasks_blocked()
        assert (len(lobby.clients), room.notes) == (2, [])
        lobby.stubborn.set()
        await room.journal.until("text 1")
    assert lobby.notes[:6] == ["connected", "connected", "text go", "text 2", "task over", "moved None"]
    assert room.notes[:2] == ["connected", "text 1"]


@pytest.mark.parametrize("kind", [Working, WorkingByClient])
async def test_task_that_fails_in_a_move_is_the_old_sides_matter(kind: type[Working]) -> None:
    lobby, room = kind(), Target()
    lobby.target, lobby.error = room, KeyError("x")
    async with serving({"/": lobby, "/room": room}) as server, connected(server) as peer:
        await peer.send(text("go"), text("1"))
        await room.journal.until("text 1")
    assert lobby.notes == ["connected", "text go", "task over", "failed start_soon", "moved None"]
    assert room.notes[:2] == ["connected", "text 1"]


@pytest.mark.parametrize("kind", [Working, WorkingByClient])
async def test_server_that_is_cut_off_does_not_wait_for_tasks_in_a_move(kind: type[Working]) -> None:
    lobby, room = kind(), Target()
    lobby.target = room
    lobby.stubborn = trio.Event()
    async with serving({"/": lobby, "/room": room}) as server, connected(server) as peer:
        await peer.send(text("go"), text("1"))
        await lobby.journal.until("text go")
        await wait_all_tasks_blocked()
        server.hurry()
        await lobby.journal.until("ended 1006")
        lobby.stubborn.set()
        await server.closed()
        assert server._reactor.budget.held == 0
        assert server._pool._headcount.by_place == {}
    assert (lobby.notes[-1], room.notes) == ("task over", [])


class Checking(Target):
    def check_message(
        self, client: Client, kind: Literal["text", "binary"], frame_length: int, total_length: int
    ) -> int | None:
        self.journal.add(f"checked {total_length}")
        return 4009 if total_length > 5 else None


async def test_new_side_is_asked_about_frames() -> None:
    lobby, room = Side(), Checking()
    lobby.target = room
    async with serving({"/": lobby, "/room": room}) as server, connected(server) as peer:
        await peer.send(text("much longer than that"), text("go"))
        await room.journal.until("connected")
        await peer.send(text("12345"), text("123456"))
        assert (await peer.receive_close())[0] == 4009
        await peer.send(close(4009))
        await ended(server, peer)
    assert room.notes == ["connected", "checked 5", "checked 6", "text 12345", "ended 4009"]


async def test_old_side_is_asked_no_more() -> None:
    lobby, room = Side(), Checking()
    room.target = lobby
    async with serving({"/": room, "/lobby": lobby}) as server, connected(server) as peer:
        await peer.send(text("go"))
        await lobby.journal.until("connected")
        await peer.send(text("123456"))
        await lobby.journal.until("text 123456")
    assert room.notes == ["connected", "checked 2", "text go", "moved None"]


async def test_time_of_hooks_is_the_new_sides() -> None:
    class Brief(Target):
        timeouts = wsframe.Timeouts(hook=0.05)

    lobby, room = Side(), Brief()
    lobby.target = room
    async with serving({"/": lobby, "/room": room}) as server, connected(server) as peer:
        await peer.send(text("go"), text("hold"))
        assert (await peer.receive_close())[0] == 1011
        await peer.send(close(1011))
        await ended(server, peer)
    assert room.notes == ["connected", "text hold", "ended 1011"]
