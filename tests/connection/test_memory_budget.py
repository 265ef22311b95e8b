"""The bytes that all clients together can make a server hold."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from typing import Literal

import pytest
import trio

import wsframe
from tests.client_frames import frame
from tests.local_server import local_server_of
from tests.wire import BINARY, FIN, Peer, close, connected, serving, text, until
from wsframe import Capacity, Limits, Timeouts
from wsframe.connection.memory_budget import Budget

KIB = 1024


def held(server: wsframe.Server) -> int:
    return local_server_of(server).reactor.budget.held


def test_a_budget_is_exceeded_above_its_limit() -> None:
    budget = Budget(10)
    budget.held = 10
    assert not budget.exceeded
    budget.held = 11
    assert budget.exceeded


class Feed(wsframe.Resource):
    """Sends as many bytes as a client asks for, to it or, with ``all``, to everybody."""

    limits = Limits(max_outbox=4096 * KIB, unsent_low_water=4 * KIB)

    def __init__(self) -> None:
        self.departed: list[str] = []

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        name, _, kib = message.partition(" ")
        client.data = name
        for _ in range(int(kib)):
            client.send_binary(bytes(KIB))

    async def disconnected(self, client: wsframe.Client) -> None:
        self.departed.append(f"{client.data}: {client.close_reason}")


async def stall(peer: Peer, resource: Feed, name: str, kib: int) -> None:
    """Have a client ask for more than the kernel holds, and wait until it waits."""
    await peer.send(text(f"{name} {kib}"))
    await until(lambda: any(one.data == name for one in resource.clients) or name in str(resource.departed))


@pytest.mark.parametrize("poller", ["epoll", "task"])
async def test_who_lets_most_wait_is_reset_first(
    poller: Literal["epoll", "task"], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "wsframe")
    resource, capacity = Feed(), Capacity(max_queued_bytes=3000 * KIB)
    async with serving(resource, capacity=capacity, poller=poller) as server, AsyncExitStack() as stack:
        healthy = await stack.enter_async_context(connected(server))
        slow = [await stack.enter_async_context(connected(server, window=4 * KIB)) for _ in range(4)]
        for peer, name, kib in zip(slow, ("small", "large", "middle", "other"), (1100, 1900, 1500, 1300), strict=True):
            await stall(peer, resource, name, kib)
            await until(lambda: held(server) <= 3000 * KIB)
            await healthy.send(text("healthy 1"))
            assert len(await healthy.receive_message()) == KIB
        await until(lambda: len(resource.departed) == 2)
        assert resource.departed == ["large: server out of memory", "middle: server out of memory"]
        assert [record.getMessage().count("max_queued_bytes") for record in caplog.records] == [1, 1]
        assert {one.data for one in resource.clients} == {"small", "other", "healthy"}
        # A client that takes everything is left alone, and the bytes it has taken are not held.
        await healthy.send(text("healthy 500"))
        for _ in range(500):
            assert len(await healthy.receive_message()) == KIB
        for peer, kib in ((slow[0], 1100), (slow[3], 1300)):
            for _ in range(kib):
                assert len(await peer.receive_message()) == KIB
        await until(lambda: held(server) == 0)


@pytest.mark.parametrize("end", ["reset by the peer", "abort", "stop", "reject"])
async def test_nothing_is_held_for_the_gone(end: str) -> None:
    resource = Feed()
    async with (
        serving(resource, timeouts=Timeouts(drain=0.2, close=0.2)) as server,
        connected(server, window=4 * KIB) as peer,
    ):
        await stall(peer, resource, "slow", 2000)
        await until(lambda: held(server) > 1000 * KIB)
        [client] = resource.clients
        if end == "reset by the peer":
            peer.reset()
        elif end == "abort":
            client.abort()
        elif end == "reject":
            client.reject()
            await peer.rest.frames(or_reset=True)
        else:
            server.close()
            await server.closed()
        await until(lambda: resource.departed)
        assert held(server) == 0
        assert not client._outbox.items
        assert not client._outbox._latest


class Stuck(wsframe.Resource):
    """Gets stuck over each message until released."""

    def __init__(self) -> None:
        self.release = trio.Event()
        self.received = 0
        self.departed = 0

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        self.received += 1
        await self.release.wait()

    async def disconnected(self, client: wsframe.Client) -> None:
        self.departed += 1


class StuckEach(Stuck):
    ordering = "client"


LARGE = Limits(max_queued_bytes=1 << 30, max_queued_messages=1 << 20)


async def flood(peer: Peer, count: int) -> None:
    """Send messages of 1 KiB, until the server ends it."""
    try:
        for _ in range(count):
            await peer.send(frame(FIN | BINARY, bytes(KIB)))
    except trio.BrokenResourceError:
        pass


@pytest.mark.parametrize("resource_type", [Stuck, StuckEach])
async def test_reading_pauses_while_the_hooks_are_stuck(resource_type: type[Stuck]) -> None:
    """Each client can add one buffer beyond the limit, and no more."""
    resource, capacity = resource_type(), Capacity(max_queued_bytes=300 * KIB)
    async with serving(resource, capacity=capacity, limits=LARGE) as server, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(connected(server)) for _ in range(5)]
        async with trio.open_nursery() as nursery:
            for peer in peers:
                nursery.start_soon(flood, peer, 2000)
            await until(lambda: held(server) > 300 * KIB)
            links = tuple(local_server_of(server).reactor.links.values())
            await until(lambda: all(link.inbox.paused for link in links))
            assert held(server) <= (300 + 5 * 66) * KIB
            resource.release.set()
        await until(lambda: resource.received == 5 * 2000)
        assert held(server) == 0
        for peer in peers:
            await peer.finish()


@pytest.mark.parametrize("resource_type", [Stuck, StuckEach])
@pytest.mark.parametrize("end", ["they go", "the server stops"])
async def test_nothing_is_held_when_all_have_gone_with_a_hook_stuck(resource_type: type[Stuck], end: str) -> None:
    resource = resource_type()
    async with (
        serving(resource, limits=LARGE, timeouts=Timeouts(drain=0.2, close=0.2)) as server,
        connected(server) as first,
        connected(server) as second,
    ):
        for peer in (first, second):
            await flood(peer, 100)
        await until(lambda: held(server) > 190 * KIB)
        assert resource.received == (1 if resource_type is Stuck else 2)
        if end == "they go":
            first.reset()
            await second.send(close())
            await until(lambda: len(local_server_of(server).reactor.links) == 1)
            resource.release.set()
            await until(lambda: resource.departed == 2)
        else:
            server.close()
            await server.closed()
            assert resource.departed == 2
        assert held(server) == 0
    assert server.statistics().reserved == 0


async def test_a_newcomer_behind_a_stuck_hook_is_given_up_when_the_server_stops() -> None:
    """Its end comes to the very mailbox that is being cleared."""
    resource = Stuck()
    async with (
        serving(resource, timeouts=Timeouts(drain=0.2, close=0.2)) as server,
        connected(server) as stuck,
        connected(server) as waiting,
    ):
        await stuck.send(frame(FIN | BINARY, b"x"))
        await until(lambda: resource.received)
        async with connected(server) as late:
            await late.send(frame(FIN | BINARY, bytes(KIB)))
            await until(lambda: held(server))
            server.close()
            await server.closed()
            for peer in (stuck, waiting, late):
                await peer.rest.frames(or_reset=True)
    assert resource.departed == 2
    assert server.statistics().reserved == held(server) == 0
