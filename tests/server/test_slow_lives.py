"""Resources whose lives take long to end or to begin: their newcomers wait, and keep nobody else out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

import wsframe
from tests.hostile.place import Place, Served, until
from tests.recorder import Echo
from tests.server.service.test_generation import two
from tests.wire import Peer, connected, upgrade
from wsframe import Accept, Capacity, Registry, Request, Resource, Timeouts

MANY = 40
FEW = Capacity(max_pending_handshakes=3, max_clients=100)


class Gated(Resource):
    """Begins and ends when its gates are open."""

    def __init__(self) -> None:
        self.begin = trio.Event()
        self.end = trio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.begin.wait()
        yield
        with trio.CancelScope(shield=True):
            await self.end.wait()

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        client.send_text(message)


class Deciding(Gated):
    """Notes how many newcomers it decides about at once."""

    def __init__(self) -> None:
        super().__init__()
        self.decide = trio.Event()
        self.deciding = self.most = 0

    async def accept_client(self, request: Request) -> None:
        self.deciding += 1
        self.most = max(self.most, self.deciding)
        try:
            await self.decide.wait()
        finally:
            self.deciding -= 1


class Desk(Resource):
    """Delivers all newcomers to another resource."""

    def __init__(self, target: Resource) -> None:
        self.target = target

    async def accept_client(self, request: Request) -> Accept:
        return Accept(deliver_to=self.target)


async def crowd(served: Served, path: str, count: int = MANY) -> list[Peer]:
    peers = [await served.connect() for _ in range(count)]
    for peer in peers:
        await peer.send(upgrade(path))
    return peers


async def others_get_in(served: Served) -> None:
    for _ in range(10):
        peer = await served.open("/echo")
        await peer.text("hello")
        assert await peer.message() == "hello"
        peer.hang_up()


@pytest.mark.parametrize("way", ["factory", "dispatcher", "delivered"])
async def test_newcomers_of_a_resource_that_begins_slowly_keep_no_others_out(plain: Place, way: str) -> None:
    slow, registry = Gated(), Registry()
    registry.register("/echo", Echo(), wsframe.any_origin)
    match way:
        case "factory":
            registry.register_factory("/slow", lambda _: slow, wsframe.any_origin, linger=60)
        case "dispatcher":
            registry.register_dispatcher(lambda request: slow if request.path == "/slow" else None, wsframe.any_origin)
        case "delivered":
            registry.register("/slow", Desk(slow), wsframe.any_origin)
    async with plain.serve_registry(registry, capacity=FEW) as served:
        peers = await crowd(served, "/slow")
        await until(lambda: served.server.statistics().reserved == MANY)
        assert served.server.statistics().pending_handshakes == 0
        await others_get_in(served)
        slow.begin.set()
        assert [(await peer.head()).status for peer in peers] == [101] * MANY
        slow.end.set()


@pytest.mark.parametrize("way", ["factory", "dispatcher", "delivered"])
async def test_newcomers_that_have_waited_for_a_resource_are_pending_again_when_there_is_room(
    plain: Place, way: str
) -> None:
    """All of them are decided about, in the order in which they came, and never more at once than can be pending."""
    slow, registry = Deciding(), Registry()
    registry.register("/echo", Echo(), wsframe.any_origin)
    if way == "factory":
        registry.register_factory("/slow", lambda _: slow, wsframe.any_origin, linger=60)
    elif way == "dispatcher":
        registry.register_dispatcher(lambda request: slow if request.path == "/slow" else None, wsframe.any_origin)
    else:
        registry.register("/slow", Desk(slow), wsframe.any_origin)
    async with plain.serve_registry(registry, capacity=FEW) as served:
        peers = await crowd(served, "/slow")
        await until(lambda: served.server.statistics().reserved == MANY)
        slow.begin.set()
        await trio.sleep(0.05)
        most = served.server.statistics().pending_handshakes
        assert most <= 3
        slow.decide.set()
        assert [(await peer.head()).status for peer in peers] == [101] * MANY
        assert slow.most <= 3
        await others_get_in(served)
        slow.end.set()


async def test_one_that_goes_while_it_waits_to_be_pending_again_leaves_its_turn(plain: Place) -> None:
    slow, registry = Deciding(), Registry()
    registry.register_factory("/slow", lambda _: slow, wsframe.any_origin, linger=60)
    async with plain.serve_registry(registry, capacity=FEW) as served:
        peers = await crowd(served, "/slow", 12)
        await until(lambda: served.server.statistics().reserved == 12)
        slow.begin.set()
        await until(lambda: slow.deciding == 3)
        peers[0].reset()  # decided about
        peers[6].reset()
        await until(lambda: served.server.statistics().reserved == 10)
        assert served.server.statistics().pending_handshakes == 3
        slow.decide.set()
        left = [peer for number, peer in enumerate(peers) if number not in (0, 6)]
        assert [(await peer.head()).status for peer in left] == [101] * 10
        await until(lambda: not served.server.statistics().pending_handshakes)
        slow.end.set()


async def test_newcomers_that_wait_for_a_resource_are_as_many_as_clients_can_be(plain: Place) -> None:
    slow, registry = Gated(), Registry()
    registry.register_factory("/slow", lambda _: slow, wsframe.any_origin, linger=60)
    async with plain.serve_registry(registry, capacity=Capacity(max_pending_handshakes=3, max_clients=10)) as served:
        peers = await crowd(served, "/slow", 10)
        await until(lambda: served.server.statistics().reserved == 10)
        assert [(await peer.head()).status for peer in await crowd(served, "/slow", 5)] == [503] * 5
        for peer in peers[:4]:
            peer.reset()
        await until(lambda: served.server.statistics().reserved == 6)
        slow.begin.set()
        slow.end.set()
        assert [(await peer.head()).status for peer in peers[4:]] == [101] * 6


async def test_newcomers_that_wait_for_a_resource_are_answered_when_their_handshake_is_due(plain: Place) -> None:
    slow, registry = Gated(), Registry()
    registry.register_factory("/slow", lambda _: slow, wsframe.any_origin, linger=60)
    async with plain.serve_registry(registry, capacity=FEW, timeouts=Timeouts(handshake=0.3)) as served:
        assert [(await peer.head()).status for peer in await crowd(served, "/slow", 5)] == [408] * 5
        await until(lambda: not served.server.statistics().reserved)
        slow.begin.set()
        slow.end.set()


async def test_a_drain_answers_newcomers_that_wait_for_a_resource(plain: Place) -> None:
    slow, registry = Gated(), Registry()
    registry.register_factory("/slow", lambda _: slow, wsframe.any_origin, linger=60)
    async with plain.serve_registry(registry, capacity=FEW, timeouts=Timeouts(drain=0.4)) as served:
        peers = await crowd(served, "/slow", 5)
        await until(lambda: served.server.statistics().reserved == 5)
        slow.end.set()
        served.server.close()
        assert [(await peer.head()).status for peer in peers] == [503] * 5


async def test_workers_4_newcomers_of_a_partition_that_ends_slowly_keep_no_others_out() -> None:
    old, new = Gated(), Gated()
    old.begin.set()
    new.begin.set()
    new.end.set()
    async with (
        two({"/": old, "/echo": Echo()}, {"/": new, "/echo": Everywhere()}, capacity=FEW) as (first, second),
        trio.open_nursery() as nursery,
    ):
        in_time: list[bool] = []

        async def come() -> None:
            async with connected(second.server):
                in_time.append(old.end.is_set())

        for _ in range(MANY):
            nursery.start_soon(come)
        await until(lambda: second.engine.places.reserved == MANY)
        for _ in range(10):
            async with connected(second.server, "/echo"):
                pass
        nursery.start_soon(lambda: first.leave(tell=second))
        await trio.testing.wait_all_tasks_blocked()
        old.end.set()
    assert in_time == [True] * MANY


class Everywhere(Echo):
    scope = "shared"
