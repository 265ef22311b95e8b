"""The invariants where clients move: order, isolation, bounds and the end (1, 2, 5, 10)."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import wsframe
from tests.local_server import local_server_of
from tests.recorder import Recorder
from tests.wire import BOUND, CLOSE, TEXT, close, connected, frame, serving, text
from wsframe import Client, Limits, Registry, Resource, Timeouts
from wsframe.resources.resource import Ordering

ORDERINGS: list[Ordering] = ["resource", "client"]


class Hall(Resource[int | None]):
    """Notes the events of each client here, under its number; a message ``N TARGET`` moves the client on."""

    halls: dict[str, Resource]

    def __init__(self, name: str, notes: dict[int, list[str]]) -> None:
        self.name = name
        self.notes = notes
        self.inside = self.most = 0

    async def hook(self, client: Client[int | None], note: str) -> None:
        assert client.data is not None
        self.notes.setdefault(client.data, []).append(f"{self.name} {note}")
        self.inside += 1
        self.most = max(self.most, self.inside)
        await trio.lowlevel.checkpoint()
        self.inside -= 1

    async def client_connected(self, client: Client[int | None]) -> None:
        if client.data is None:
            client.data = int(client.request.query["number"][0])
        await self.hook(client, "connected")

    async def received_text(self, client: Client[int | None], message: str) -> None:
        number, _, target = message.partition(" ")
        if target:
            client.move_to(self.halls[target])
        await self.hook(client, number)

    async def disconnected(self, client: Client[int | None]) -> None:
        await self.hook(client, "moved" if client.resource is not self else "ended")


class HallByClient(Hall):
    ordering = "client"


def check_visits(notes: list[str], messages: int) -> int:
    """Check that a client was in one place at a time and lost nothing; return how often it moved."""
    here, expected, moves = None, 0, 0
    for note in notes:
        hall, _, what = note.partition(" ")
        if what == "connected":
            assert here is None, notes
            here = hall
            continue
        assert hall == here, notes
        if what in ("moved", "ended"):
            here = None
            moves += what == "moved"
        else:
            assert int(what) == expected, notes
            expected += 1
    assert notes[-1].endswith(" ended"), notes
    assert (here, expected) == (None, messages), notes
    return moves


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("share", [256, 2])
async def test_invariant_2_each_message_has_one_side_and_each_side_one_goodbye(seed: int, share: int) -> None:
    """Clients that move on in the middle of their messages, among resources of both orderings, some not registered."""
    random = Random(seed)
    notes: dict[int, list[str]] = {}
    halls = {name: (HallByClient if name in "cd" else Hall)(name, notes) for name in "abcd"}
    for hall in halls.values():
        hall.halls = dict(halls)
    messages = 60

    async def live(number: int) -> None:
        lines = [f"{at} {random.choice('abcd')}" if random.random() < 0.3 else f"{at}" for at in range(messages)]
        async with connected(server, f"/{random.choice('ac')}?number={number}") as peer:
            while lines:
                count = random.randint(1, 30)
                await peer.send(*map(text, lines[:count]))
                del lines[:count]
                await trio.lowlevel.checkpoint()
            await peer.send(close())
            assert await peer.end() == "fin"

    registered = {"/a": halls["a"], "/c": halls["c"]}
    async with serving(registered, limits=Limits(max_queued_messages=share)) as server:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(live, number)
        while server.statistics().reserved:  # noqa: ASYNC110
            await trio.sleep(0.005)
        await wait_all_tasks_blocked()
        assert server.statistics().resources == 2
        assert local_server_of(server).reactor.budget.held == 0
        assert local_server_of(server).places._headcount.by_place == {}
    assert sum(check_visits(notes[number], messages) for number in range(20)) > 100
    assert [halls[name].most for name in "ab"] == [1, 1], "their hooks never overlap"
    assert max(halls[name].most for name in "cd") > 1, "theirs do"


async def test_invariant_1_goodbye_of_a_client_that_moves_overlaps_no_other_hook() -> None:
    class Lobby(Recorder):
        async def disconnected(self, client: Client) -> None:
            await super().disconnected(client)
            await self.release.wait()

    lobby, room = Lobby(), Recorder()
    async with serving({"/": lobby, "/room": room}) as server, connected(server), connected(server) as other:
        await lobby.journal.until("connected", 2)
        first = next(iter(lobby.clients))
        assert first.move_to(room)
        await other.send(text("x"))
        await lobby.journal.until("disconnected None")
        await wait_all_tasks_blocked()
        assert lobby.notes[-1] == "disconnected None"
        lobby.release.set()
        await lobby.journal.until("text x")


class Held(Recorder):
    """Its goodbye waits for ``release``; text ``go`` moves on."""

    def __init__(self, target: Resource) -> None:
        super().__init__()
        self.target = target

    async def received_text(self, client: Client, message: str) -> None:
        self.journal.add(f"text {message}")
        if message == "hold":
            await trio.sleep_forever()
        if message == "go":
            assert client.move_to(self.target)

    async def disconnected(self, client: Client) -> None:
        await super().disconnected(client)
        await self.release.wait()


class HeldByClient(Held):
    ordering = "client"


@pytest.mark.parametrize("kind", [Held, HeldByClient])
async def test_invariant_5_client_between_two_resources_holds_its_share_and_no_more(kind: type[Held]) -> None:
    room = Recorder()
    lobby = kind(room)
    limits = Limits(max_queued_messages=10, max_queued_bytes=100_000)
    async with serving(lobby, limits=limits) as server, connected(server) as peer:
        await peer.send(text("go"))
        await lobby.journal.until("disconnected None")
        (link,) = local_server_of(server).reactor.links.values()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.send, *(frame(TEXT, b"%06d" % number + bytes(10_000)) for number in range(1000)))
            while not link.inbox.paused:  # noqa: ASYNC110
                await trio.sleep(0.005)
            await wait_all_tasks_blocked()
            assert (link.inbox.waiting, link.inbox.paused) == (10, True)
            assert local_server_of(server).reactor.budget.held <= 100_000 + 2 * 65536
            lobby.release.set()
        await room.journal.when(lambda notes: len(notes) == 1001)
        assert [note[5:11] for note in room.notes[1:]] == [f"{number:06}" for number in range(1000)]
        assert (link.inbox.waiting, local_server_of(server).reactor.budget.held) == (0, 0)


async def test_invariant_5_client_between_two_resources_is_reset_for_the_budget_of_all() -> None:
    """The messages that wait on either side of the move are given back, and none is counted twice."""
    room = Recorder()
    lobby = Held(room)

    async with serving(lobby) as server, connected(server) as peer, connected(server) as other:
        await lobby.journal.until("connected", 2)
        mover = next(client for client in lobby.clients if client.port == peer.port)
        await peer.send(frame(TEXT, bytes(10_000)), text("2"))
        await other.send(text("go"))
        await lobby.journal.until("disconnected None")  # the lobby stands here: all that comes has to wait
        await peer.send(frame(TEXT, b"3" * 10_000))
        await wait_all_tasks_blocked()
        assert mover.move_to(room)
        await peer.send(frame(TEXT, b"4" * 10_000))
        await wait_all_tasks_blocked()
        reactor = local_server_of(server).reactor
        reactor.budget.limit = 1
        reactor.relieve()
        assert reactor.budget.held == 0
        reactor.budget.limit = 1_000_000
        await wait_all_tasks_blocked()
        lobby.release.set()
        await room.journal.until("disconnected 1006")
        while server.statistics().reserved > 1:  # noqa: ASYNC110
            await trio.sleep(0.005)
        assert (mover.statistics().messages_waiting, reactor.budget.held) == (0, 0)
        await other.send(text("alive"))
        await room.journal.until("text alive")
    assert [note for note in lobby.notes + room.notes if note.startswith(("text 3", "text 4"))] == []


class Slow(Recorder):
    """It never gets out of ``running()``'s beginning."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await trio.Event().wait()
        yield


class SlowByClient(Slow):
    ordering = "client"


@pytest.mark.parametrize("where", ["before the goodbye", "in the goodbye", "before the welcome"])
@pytest.mark.parametrize("kinds", [(Held, Slow), (HeldByClient, Slow), (Held, SlowByClient)])
async def test_invariant_10_client_that_is_cut_off_in_a_move_has_its_goodbyes(
    where: str, kinds: tuple[type[Held], type[Slow]], caplog: pytest.LogCaptureFixture
) -> None:
    room = kinds[1]()
    lobby = kinds[0](room)
    async with serving(lobby, timeouts=Timeouts(drain=0.1, close=0.1)) as server, connected(server) as peer:
        if where == "before the goodbye":
            await peer.send(text("hold"), text("1"))
            await lobby.journal.until("text hold")
            assert lobby.only.move_to(room)
        else:
            if where == "before the welcome":
                lobby.release.set()
            await peer.send(text("go"), text("1"))
            await lobby.journal.until("disconnected None")
        await wait_all_tasks_blocked()
        client = next(iter(local_server_of(server).reactor.links.values())).client
        assert isinstance(client, Client)
        if where == "in the goodbye":
            assert client.resource is room
        server.close()
        with trio.fail_after(BOUND):
            await server.closed()
        assert client.state is wsframe.State.CLOSED
        assert server.statistics()[:3] == (0, 0, 0)
        assert local_server_of(server).reactor.budget.held == 0
        assert local_server_of(server).places._headcount.by_place == {}
    assert sum(note.startswith("disconnected") for note in lobby.notes) == 1
    assert room.notes == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_invariant_10_drain_in_the_middle_of_a_move_closes_in_order() -> None:
    room = Recorder()
    lobby = Held(room)
    async with serving({"/": lobby, "/room": room}) as server, connected(server) as peer:
        await peer.send(text("go"), text("1"))
        await lobby.journal.until("disconnected None")
        server.close()
        one = await peer.receive()
        assert one is not None
        assert one.opcode == CLOSE
        await peer.send(close(1001))
        lobby.release.set()
        await room.journal.until("disconnected 1001")
    assert room.notes == ["connected", "text 1", "disconnected 1001"]


async def test_invariant_10_rooms_are_gone_with_the_server() -> None:
    left: list[str] = []

    class Room(Recorder):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            yield
            left.append("room")

    registry = Registry()
    registry.register_factory("/{room}", lambda request: Room(), linger=1000)
    with trio.fail_after(120):
        async with wsframe.open_server(registry, port=0) as server:
            async with connected(server, "/a"):
                pass
            async with connected(server, "/b"):
                pass
        assert left == ["room", "room"]
        assert server.statistics().resources == 0
