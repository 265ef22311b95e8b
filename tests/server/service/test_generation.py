"""Two generations of one worker: the new one begins a partition when the old one has left it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Unpack

import pytest
import trio

import wsframe
from tests.handing import BOUND, Goer, life_of
from tests.server.handover.test_predecessor import Stayer, echoes
from tests.wire import close, connected, until
from wsframe.backplane import MemoryBackplane, MemoryHub
from wsframe.exceptions import LivesElsewhere
from wsframe.http.responses import Reject
from wsframe.server.local_server import LocalServer
from wsframe.server.options import ServeKeywords, ServeOptions
from wsframe.server.sockets.listen import Bound
from wsframe.workers.board import Board
from wsframe.workers.control_socket import ControlSocket, make_control_sockets
from wsframe.workers.door import make_door
from wsframe.workers.partitions import partitions_of
from wsframe.workers.worker import Worker

if not hasattr(socket, "SOCK_SEQPACKET"):
    pytest.skip("this system has no SOCK_SEQPACKET", allow_module_level=True)


class Side:
    """One generation, with the supervisor's end of its link."""

    def __init__(self, engine: LocalServer, supervisor: ControlSocket) -> None:
        self.engine = engine
        self.server = engine.server
        self.supervisor = supervisor
        self.over: set[int] = set()

    async def accept(self) -> None:
        message = await self.supervisor.hear()
        assert message is not None
        assert message.name == "ready"
        self.supervisor.say("accept", started=False)

    async def leave(self, *, tell: Side | None = None) -> None:
        """Have it leave; tell the next one which lives are over, as a supervisor does."""
        self.supervisor.say("leave")
        while len(self.over) < len(partitions_of(0, self.engine.roster.placement.count)):
            message = await self.supervisor.hear()
            assert message is not None
            assert message.name == "over"
            self.over.update(message.fields["partitions"])
            if tell is not None:
                tell.supervisor.say("begin", partitions=message.fields["partitions"])


class Slot:
    """The sockets and the board that both generations of a slot share, and those of each."""

    def __init__(self, stack: ExitStack, count: int) -> None:
        self._stack = stack
        self._count = count
        self._board = Board.make(count)
        self._door = make_door()
        self._lineage = make_control_sockets()
        for end in (self._board, *self._door, *self._lineage):
            stack.callback(end.close)

    def engine(
        self, generation: int, resources: dict[str, wsframe.Resource], options: ServeOptions
    ) -> tuple[LocalServer, ControlSocket]:
        """Make the server of a generation, and its supervisor's end of their link."""
        registry = wsframe.Registry(alone=True)
        for path, resource in resources.items():
            registry.register(path, resource)
        ours, theirs = make_control_sockets()
        receiving = self._door[1].dup()
        receiving.setblocking(False)
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        for end in (ours, theirs, receiving, listening):
            self._stack.callback(end.close)
        worker = Worker(
            slot=0, count=self._count, generation=generation, sockets=(listening,),
            doors=(self._door[0],) * self._count, door=receiving, board=self._board, link=theirs, folder="",
            follows=bool(generation), giving=None if generation else self._lineage[0],
            taking=self._lineage[1] if generation else None,
        )  # fmt: skip
        return LocalServer([Bound(sock=listening)], registry, options, None, worker=worker), ControlSocket(ours)


@asynccontextmanager
async def two(
    old: dict[str, wsframe.Resource],
    new: dict[str, wsframe.Resource],
    count: int = 1,
    hub: MemoryHub | None = None,
    **options: Unpack[ServeKeywords],
) -> AsyncIterator[tuple[Side, Side]]:
    sides: list[Side] = []
    with ExitStack() as stack, trio.fail_after(BOUND):
        slot = Slot(stack, count)
        async with trio.open_nursery() as nursery:
            for generation, resources in enumerate((old, new)):
                if hub is not None:
                    options["backplane"] = MemoryBackplane(hub)
                sides.append(Side(*slot.engine(generation, resources, ServeOptions(**options))))
                nursery.start_soon(sides[-1].accept)
                await nursery.start(sides[-1].engine.serve)
            yield sides[0], sides[1]
            for side in sides:
                side.engine.drain()


async def come_and_wait(second: Side, nursery: trio.Nursery, word: str) -> None:
    """Have a newcomer wait at the new generation; it exchanges a word once it is in."""

    async def come() -> None:
        async with connected(second.server) as newcomer:
            await echoes(newcomer, word)

    nursery.start_soon(come)
    await until(lambda: second.engine.places.reserved)


async def test_workers_1_no_partition_has_two_lives_and_newcomers_wait_for_theirs() -> None:
    old, new = Stayer(), Stayer()
    async with (
        two({"/": old}, {"/": new}) as (first, second),
        trio.open_nursery() as nursery,
        connected(first.server) as peer,
    ):
        await echoes(peer, "1")
        await come_and_wait(second, nursery, "2")
        assert second.engine.roster.listeners() == ()
        nursery.start_soon(lambda: first.leave(tell=second))
        assert await peer.receive_close() == (1012, "service restart")
        await peer.send(close(1012))
        assert await peer.receive() is None
    assert old.notes[-1] == "disconnected 1012"
    assert "text 2" in new.notes


async def test_workers_6_an_offer_begins_its_partition_and_newcomers_come_after_the_clients() -> None:
    old, new = Goer(), Goer()
    async with (
        two({"/": old}, {"/": new}) as (first, second),
        trio.open_nursery() as nursery,
        connected(first.server) as peer,
    ):
        await echoes(peer, "1")
        await come_and_wait(second, nursery, "3")
        await first.leave()
        await echoes(peer, "2")
        await until(lambda: new.count == 3)
    assert new.notes[:3] == ["begins", "takes over, clients: 0", "restored"]
    assert new.notes.count("connected") == 1


async def test_what_has_no_life_is_over_at_once() -> None:
    async with two({}, {}) as (first, second):
        await first.leave(tell=second)
        placement = second.engine.roster.placement
        await until(lambda: placement.whole)


async def test_leases_go_to_the_next_generation_with_the_partitions() -> None:
    old, new = Stayer(), Stayer()
    async with (
        two({"/": old}, {"/": new}, hub=MemoryHub()) as (first, second),
        trio.open_nursery() as nursery,
        connected(first.server) as peer,
    ):
        await echoes(peer, "1")
        before = old.ownership.token
        await come_and_wait(second, nursery, "2")
        nursery.start_soon(lambda: first.leave(tell=second))
        assert await peer.receive_close() == (1012, "service restart")
        await peer.send(close(1012))
        assert await peer.receive() is None
        await until(lambda: "text 2" in new.notes)
        assert new.ownership.token > before
        assert not new.ownership.lost


async def test_an_offer_of_leased_lives_is_taken_once_their_lease_is_here() -> None:
    old, new = Goer(), Goer()
    async with (
        two({"/": old}, {"/": new}, hub=MemoryHub()) as (first, _),
        connected(first.server) as peer,
    ):
        await echoes(peer, "1")
        before = old.ownership.token
        await first.leave()
        await echoes(peer, "2")
        assert new.ownership.token > before
    assert new.notes[:3] == ["begins", "takes over, clients: 0", "restored"]


class Everywhere(Goer):
    scope = "shared"


async def test_workers_7_clients_of_a_shared_resource_go_to_the_object_that_lives_in_the_successor() -> None:
    old, new = Everywhere(), Everywhere()
    async with (
        two({"/": old}, {"/": new}) as (first, second),
        connected(first.server) as peer,
        connected(second.server) as other,
    ):
        await echoes(peer, "1")
        await echoes(other, "1")
        await first.leave(tell=second)
        await new.journal.until("restored")
        await echoes(peer, "2")
        await echoes(other, "2")
        assert len(new.clients) == 2
        assert new.broadcast_text("to all").queued == 2
        assert await peer.receive_text() == await other.receive_text() == "to all"
    assert [note for note in old.notes if not note.startswith("text")] == [
        "begins",
        "connected",
        "hands over 1",
        "ends",
    ]
    assert new.notes.count("connected") == 1
    assert new.notes.index("takes over, clients: 1") < new.notes.index("restored") < new.notes.index("text 2")


async def test_a_shared_resource_is_handed_over_beside_leased_ones() -> None:
    old, new = Everywhere(), Everywhere()
    async with (
        two({"/": old, "/one": Stayer()}, {"/": new, "/one": Stayer()}, hub=MemoryHub()) as (first, second),
        connected(first.server) as peer,
    ):
        await echoes(peer, "1")
        await first.leave(tell=second)
        await new.journal.until("restored")
        await echoes(peer, "2")


async def test_workers_7_broadcasts_of_other_workers_reach_clients_of_a_shared_resource_that_were_handed_over() -> None:
    old, new = Everywhere(), Everywhere()
    async with two({"/": old}, {"/": new}, count=2) as (first, second), connected(first.server) as peer:
        await echoes(peer, "1")
        (before,) = old.clients
        topic = life_of(new).topic
        assert topic in life_of(old).topics.of(before)
        await first.leave(tell=second)
        await new.journal.until("restored")
        await echoes(peer, "2")
        (after,) = new.clients
        assert life_of(new).topics.of(after) == {topic}


async def closed_by_the_old_worker_alone(old: wsframe.Resource, new: wsframe.Resource) -> None:
    """Check that the client of the old worker is closed 1012, and that of the new one stays."""
    async with (
        two({"/": old}, {"/": new}) as (first, second),
        connected(first.server) as peer,
        connected(second.server) as other,
    ):
        await echoes(peer, "1")
        await echoes(other, "1")
        await first.leave(tell=second)
        assert await peer.receive_close() == (1012, "service restart")
        await peer.send(close(1012))
        await echoes(other, "2")


async def test_clients_of_a_shared_resource_whose_hand_over_fails_are_closed_and_others_stay(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Refusing(Everywhere):
        async def take_over(self, state: bytes) -> None:
            raise LookupError("another version")

    await closed_by_the_old_worker_alone(Everywhere(), Refusing())
    assert "take_over of Refusing failed" in caplog.text


async def test_shared_resources_live_in_both_and_their_clients_leave_one_by_one() -> None:
    class Shared(Stayer):
        scope = "shared"

    await closed_by_the_old_worker_alone(Shared(), Shared())


class Held(Stayer):
    """Does not end before it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = trio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        yield
        with trio.CancelScope(shield=True), trio.move_on_after(BOUND):
            await self.let_go.wait()


@pytest.mark.parametrize("count", [1, 2])
async def test_workers_1_a_shared_resource_begins_no_more_in_a_worker_that_leaves(count: int) -> None:
    """Neither by a registration, nor by a client that moves there, nor by a factory."""
    gone, late, held = Everywhere(), Everywhere(), Held()
    async with (
        two({"/": gone, "/held": held}, {"/": Everywhere(), "/held": Stayer()}, count) as (first, second),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(lambda: first.leave(tell=second))
        try:
            roster = first.engine.roster
            await until(lambda: [life.resource for life in roster.listeners()] == [held])
            targets: list[wsframe.Resource | str] = [gone, late]
            if count == 1:  # with others registries are frozen
                (registry,) = roster.registries
                registry.register("/late", late)
                registry.register_factory("/made/{name}", lambda _: Everywhere(), scope="shared")
                targets.append("/made/one")
            for target in targets:
                with pytest.raises(LivesElsewhere, match=r"left this process|lives in worker 0"):
                    roster.join(target, wsframe.Request("/made/one", []))
            roster.update()
            assert [life.resource for life in roster.listeners()] == [held]
        finally:
            held.let_go.set()


async def test_nobody_moves_to_a_shared_resource_whose_clients_leave() -> None:
    class Shared(Stayer):
        scope = "shared"

    held = Held()
    async with (
        two({"/": Shared(), "/held": held}, {"/": Shared(), "/held": Stayer()}) as (first, second),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(lambda: first.leave(tell=second))
        try:
            (shared,) = (one for one in first.engine.roster.listeners() if one.resource.scope == "shared")
            await until(lambda: not shared.open)
            with pytest.raises(Reject):
                first.engine.roster.join(shared.resource, wsframe.Request("/", []))
        finally:
            held.let_go.set()
