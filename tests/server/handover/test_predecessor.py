"""A worker leaves a partition: its lives end in one step, and go on in the successor, or their clients get 1012."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import wsframe
from tests.handing import BOUND, Goer, GoerByClient
from tests.local_server import local_server_of
from tests.recorder import Recorder
from tests.wire import Peer, close, connected, text, until
from wsframe.hooks.paired_lives import address_of, join_at
from wsframe.server.handover.predecessor import leave_lives
from wsframe.server.handover.successor import Successor
from wsframe.workers.socket_exchange import SocketExchange

if not hasattr(socket, "SOCK_SEQPACKET"):
    pytest.skip("this system has no SOCK_SEQPACKET", allow_module_level=True)


class Stayer(Recorder):
    """Does not define ``hand_over``."""

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        await super().received_text(client, message)
        client.send_text(message)


class Generations(NamedTuple):
    """An old and a new server, and the two ends of their lineage."""

    old: wsframe.Server
    new: wsframe.Server
    giving: SocketExchange
    taking: SocketExchange
    begun: list[int]

    async def leave(self, *resources: wsframe.Resource) -> None:
        """Have the old server leave the lives of some resources, as one partition."""
        local = local_server_of(self.old)
        lives = [life for life in local.roster.listeners() if life.resource in resources]
        await leave_lives(lives, local.reactor, partial(address_of, local.roster), self.giving, 7)

    async def succeed(self, change: Callable[[Any], None] = lambda successor: None) -> None:
        """Have the new server take all that it is offered, until cancelled."""
        local = local_server_of(self.new)

        async def begin(partition: int) -> None:
            self.begun.append(partition)

        successor = Successor(local.reactor, local.places, begin, partial(join_at, local.roster))
        change(successor)
        await successor.run(self.taking)


Resources = dict[str, wsframe.Resource]


@asynccontextmanager
async def generations(old: Resources, new: Resources) -> AsyncIterator[Generations]:
    giving, taking = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    registries = wsframe.Registry(), wsframe.Registry()
    for registry, resources in zip(registries, (old, new), strict=True):
        for path, resource in resources.items():
            registry.register(path, resource)
    with trio.fail_after(BOUND):
        async with (
            wsframe.open_server(registries[0], port=0) as first,
            wsframe.open_server(registries[1], port=0) as second,
        ):
            both = Generations(first, second, SocketExchange(giving), SocketExchange(taking), [])
            try:
                yield both
            finally:
                both.giving.close()
                both.taking.close()


async def echoes(peer: Peer, message: str) -> None:
    await peer.send(text(message))
    assert await peer.receive_text() == message


@pytest.mark.parametrize("kind", [Goer, GoerByClient])
async def test_workers_6_lives_of_a_partition_end_before_any_of_them_begins_again(kind: type[Goer]) -> None:
    order: list[str] = []
    old: Resources = {"/a": kind(), "/b": kind(), "/c": Stayer()}
    new: Resources = {"/a": kind(), "/b": kind(), "/c": Stayer()}
    for side, resources in (("old", old), ("new", new)):
        for path in ("/a", "/b"):
            goer = resources[path]
            assert isinstance(goer, Goer)

            def add(note: str, side: str = side, note_it: Callable[[str], None] = goer.journal.add) -> None:
                order.append(f"{side} {note.split(',')[0]}")
                note_it(note)

            goer.journal.add = add  # type: ignore[method-assign]
    async with generations(old, new) as both, trio.open_nursery() as nursery:
        nursery.start_soon(both.succeed)
        async with (
            connected(both.old, "/a") as a,
            connected(both.old, "/b") as b,
            connected(both.old, "/c") as c,
        ):
            await echoes(a, "1")
            await echoes(b, "1")
            await echoes(c, "1")
            await both.leave(*old.values())
            assert both.begun == [7]
            await echoes(a, "2")
            await echoes(b, "2")
            assert await c.receive_close() == (1012, "service restart")
            await c.send(close(1012))
            assert await c.receive() is None
        nursery.cancel_scope.cancel()
    ends = [at for at, note in enumerate(order) if note == "old ends"][:2]
    takes = [at for at, note in enumerate(order) if note == "new takes over"]
    assert len(ends) == len(takes) == 2
    assert max(ends) < min(takes)
    assert not any(note.startswith(("old disconnected", "new connected")) for note in order)


async def test_workers_7_without_a_successor_clients_are_closed_with_their_goodbye() -> None:
    old = Goer()
    async with generations({"/": old}, {}) as both, connected(both.old) as peer:
        await echoes(peer, "1")
        local = local_server_of(both.old)
        await leave_lives(local.roster.listeners(), local.reactor, lambda life: None, None, 0)
        assert await peer.receive_close() == (1012, "service restart")
    assert "disconnected 1012" in old.notes


async def test_a_silent_peer_does_not_hold_up_the_end_of_its_partition() -> None:
    old = Stayer()
    async with generations({"/": old}, {}) as both, connected(both.old) as silent:
        await echoes(silent, "1")
        await both.leave(old)
        assert old.notes[-1] == "disconnected 1012"
        assert await silent.receive_close() == (1012, "service restart")


async def test_clients_that_go_along_are_served_on_while_others_of_the_partition_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wsframe.server.handover.predecessor.STAY", 0)
    monkeypatch.setattr("wsframe.server.handover.predecessor.ANSWER_WITHIN", 3600)
    old: Resources = {"/": Goer(), "/stays": Stayer()}
    new: Resources = {"/": Goer(), "/stays": Stayer()}
    async with generations(old, new) as both, trio.open_nursery() as nursery:
        nursery.start_soon(both.succeed)
        async with connected(both.old) as peer, connected(both.old, "/stays") as silent:
            await echoes(silent, "1")
            async with trio.open_nursery() as leaving:
                leaving.start_soon(both.leave, *old.values())
                assert await silent.receive_close() == (1012, "service restart")
                for number in range(3):
                    await echoes(peer, str(number))
                assert both.begun == []
                assert old["/"].clients
                await silent.send(close(1012))
            await echoes(peer, "on")
            assert not old["/"].clients
        nursery.cancel_scope.cancel()


async def test_workers_3_a_client_that_cannot_go_along_and_has_just_come_can_have_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Compressed(Goer):
        deflate = wsframe.Deflate.dedicated()

    old = Compressed()
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    monkeypatch.setattr("wsframe.server.handover.predecessor.STAY", BOUND)
    async with (
        generations({"/": old}, {"/": Goer()}) as both,
        connected(both.old, fields=offer) as peer,
        trio.open_nursery() as leaving,
    ):
        leaving.start_soon(both.leave, old)
        await wait_all_tasks_blocked(0.01)
        await echoes(peer, "1")
        leaving.cancel_scope.cancel()


@pytest.mark.parametrize("resources", [{}, {"/other": Goer()}])
async def test_workers_7_a_successor_without_such_a_path_refuses_and_clients_get_1012(resources: Resources) -> None:
    old = Goer()
    async with generations({"/": old}, resources) as both, trio.open_nursery() as nursery:
        nursery.start_soon(both.succeed)
        async with connected(both.old) as peer:
            await echoes(peer, "1")
            await both.leave(old)
            assert await peer.receive_close() == (1012, "service restart")
            await peer.send(close(1012))
            assert await peer.receive() is None
        nursery.cancel_scope.cancel()


async def test_workers_7_a_successor_that_does_not_answer_costs_the_clients_1012(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wsframe.server.handover.predecessor.WITHIN", 0.3)
    old = Goer()
    async with generations({"/": old}, {"/": Goer()}) as both, connected(both.old) as peer:
        await echoes(peer, "1")
        await both.leave(old)
        assert await peer.receive_close() == (1012, "service restart")


async def test_workers_2_a_mine_after_the_cut_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsframe.server.handover.predecessor.WITHIN", 0.3)
    old, new = Goer(), Goer()
    late = trio.Event()

    async def wait_first(state: bytes) -> None:
        await late.wait()

    new.take_over = wait_first  # type: ignore[method-assign]
    async with generations({"/": old}, {"/": new}) as both, trio.open_nursery() as nursery:
        nursery.start_soon(both.succeed)
        async with connected(both.old) as peer:
            await echoes(peer, "1")
            await both.leave(old)
            late.set()
            assert await peer.receive_close() == (1012, "service restart")
            await until(lambda: not new.clients and not local_server_of(both.new).reactor.links)
            await peer.send(close(1012))
            assert await peer.receive() is None
        nursery.cancel_scope.cancel()


async def test_many_clients_go_with_at_most_64_under_way() -> None:
    old, new = Goer(), Goer()
    async with generations({"/": old}, {"/": new}) as both, trio.open_nursery() as nursery:
        nursery.start_soon(both.succeed)
        async with AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(connected(both.old)) for _ in range(150)]
            await until(lambda: len(old.clients) == 150)
            await both.leave(old)
            for peer in peers:
                await echoes(peer, "on")
            assert new.count == 150
            assert both.new.statistics().reserved == 150
            assert both.old.statistics().reserved == 0
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("longest", [8192, 10**6], ids=["is not offered", "breaks the offer"])
async def test_an_address_that_fits_into_no_message_costs_the_clients_1012_and_nothing_else(
    longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsframe.server.handover.predecessor.LONGEST_ADDRESS", longest)
    old: Resources = {"/": Goer(), "/other": Goer()}
    paths = {old["/"]: "/" + '"' * 8192, old["/other"]: "/other"}
    async with generations(old, {"/": Goer(), "/other": Goer()}) as both, trio.open_nursery() as nursery:
        nursery.start_soon(both.succeed)
        async with connected(both.old) as peer, connected(both.old, "/other") as other:
            await echoes(peer, "1")
            await echoes(other, "1")
            local = local_server_of(both.old)
            lives = local.roster.listeners()
            await leave_lives(lives, local.reactor, lambda life: ("registered", paths[life.resource]), both.giving, 7)
            assert await peer.receive_close() == (1012, "service restart")
            if longest == 8192:
                await echoes(other, "2")
            else:
                assert await other.receive_close() == (1012, "service restart")
        nursery.cancel_scope.cancel()
