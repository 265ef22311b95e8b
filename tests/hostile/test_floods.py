"""Clients that send or connect without end: the memory each can take, and their effect on other clients."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Literal

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.client_frames import frame
from tests.local_server import local_server_of
from tests.wire import (
    BINARY,
    CONTINUATION,
    FIN,
    PING,
    PONG,
    TEXT,
    Frame,
    Peer,
    connected,
    head,
    serving,
    stream_to,
    text,
    until,
)
from wsframe import Capacity, Limits, Reject
from wsframe.server.capacity import Places
from wsframe.testing import Line, open_kit

KIB = 1024
Poller = Literal["epoll", "task"]


class Echo(wsframe.Resource):
    """Sends back, and keeps count."""

    limits = Limits(unsent_low_water=4 * KIB)

    def __init__(self) -> None:
        self.received = 0
        self.departed: list[int | None] = []

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        self.received += 1
        client.send_text(message)

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        self.received += 1
        if message:
            client.send_binary(bytes(int(message)))

    async def disconnected(self, client: wsframe.Client) -> None:
        self.departed.append(client.close_code)


async def honest_turn(peer: Peer) -> None:
    await peer.send(text("hello"))
    assert await peer.receive_message() == b"hello"


@pytest.mark.parametrize("poller", ["epoll", "task"])
async def test_a_flood_of_pings_is_answered_ping_by_ping(poller: Poller) -> None:
    resource, count = Echo(), 3000
    async with (
        serving(resource, poller=poller) as server,
        connected(server) as hostile,
        connected(server) as honest,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(hostile.send, *(frame(FIN | PING, b"%d" % number) for number in range(count)))
        for number in range(count):
            one = await hostile.receive()
            assert one == Frame(PONG, b"%d" % number)
            if number % 300 == 0:
                await honest_turn(honest)


async def test_a_flood_of_pings_from_who_reads_nothing_leaves_one_pong() -> None:
    resource = Echo()
    async with serving(resource) as server, connected(server, window=4 * KIB) as hostile, connected(server) as honest:
        await hostile.send(frame(FIN | BINARY, b"%d" % (900 * KIB)))
        await until(lambda: any(one._outbox.blocked for one in resource.clients))
        [outbox] = [one._outbox for one in resource.clients if one._outbox.blocked]
        for _ in range(20):
            before = outbox.byte_count
            await hostile.send(*[frame(FIN | PING, b"%03d" % number) for number in range(500)])
            await honest_turn(honest)
            assert outbox.byte_count <= before + 5
        pongs = [one for one in outbox.items if one[0] == FIN | PONG]
        assert len(pongs) <= 1
        # The frame that had begun goes on, and the pong comes at the next frame boundary.
        one = await hostile.receive()
        assert one is not None
        assert (one.opcode, one.fin, len(one.payload)) == (BINARY, True, 900 * KIB)
        one = await hostile.receive()
        assert one == Frame(PONG, b"499")


@pytest.mark.parametrize("poller", ["epoll", "task"])
async def test_a_flood_of_tiny_messages_waits_in_the_kernel(poller: Poller) -> None:
    """Beyond the limit nothing is decoded, however many fit into one read; then all are, in order."""
    resource, count = Stuck(), 40_000
    limits = Limits(max_queued_messages=64)
    async with serving(resource, limits=limits, poller=poller) as server, connected(server) as hostile:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hostile.send, frame(FIN | BINARY) * count)
            await until(lambda: resource.received)
            [link] = local_server_of(server).reactor.links.values()
            await until(lambda: link.inbox.paused)
            await wait_all_tasks_blocked()
            assert len(link.inbox.mailbox.entries) <= 64
            resource.release.set()
            await until(lambda: resource.received == count)
            assert resource.most <= 64
        await hostile.finish()


class Stuck(wsframe.Resource):
    """Takes nothing until it is released; notes how many wait."""

    def __init__(self) -> None:
        self.release = trio.Event()
        self.received = 0
        self.most = 0

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        self.received += 1
        self.most = max(self.most, client.statistics().messages_waiting)
        if not self.release.is_set():
            await self.release.wait()


async def test_what_came_before_a_reset_is_delivered_however_much_it_is() -> None:
    """More than the mailbox takes at once: some of it is still to be decoded when the end is known."""
    resource, count = Stuck(), 1000
    async with serving(resource) as server:
        async with connected(server) as hostile:
            await hostile.send(frame(FIN | BINARY) * count)
            await until(lambda: resource.received)
            hostile.reset()
            await until(lambda: not local_server_of(server).reactor.links)
        resource.release.set()
        await until(lambda: not resource.clients)
        assert resource.received == count


@pytest.mark.parametrize("size", [0, 1, 20])
async def test_a_message_in_too_many_fragments(size: int) -> None:
    resource, limits = Echo(), Limits(max_fragments=50)
    async with serving(resource, limits=limits) as server, connected(server) as honest:
        for count, code in ((50, None), (51, 1009), (5000, 1009)):
            async with connected(server) as hostile:
                fragments = [frame(CONTINUATION, b"x" * size) for _ in range(count - 2)]
                await hostile.send(frame(TEXT), *fragments, frame(FIN | CONTINUATION))
                if code is None:
                    assert await hostile.receive_message() == b"x" * size * (count - 2)
                else:
                    assert [one.code for one in await hostile.rest.frames(or_reset=True)][:1] == [code]
            await honest_turn(honest)
        assert resource.received == 4


async def test_fragments_without_end_are_held_to_the_message_limit() -> None:
    resource, limits = Echo(), Limits(max_message=10_000)
    async with serving(resource, limits=limits) as server, connected(server) as hostile:
        await hostile.send(frame(BINARY), *[frame(CONTINUATION, bytes(100))] * 100)
        await hostile.send(frame(CONTINUATION, b"x"))
        assert [one.code for one in await hostile.rest.frames(or_reset=True)] == [1009]
        await until(lambda: resource.departed)
        assert resource.received == 0


async def test_slow_heads_make_room_for_an_honest_newcomer(autojump_clock: MockClock) -> None:
    """All places are taken and as many wait before the door, each sending a byte now and then."""
    async with open_kit(Echo(), capacity=Capacity(max_pending_handshakes=10)) as kit:
        already = await kit.connect()
        hostile = [kit.dial() for _ in range(20)]
        for line in hostile:
            line.send_bytes(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        await wait_all_tasks_blocked()
        assert kit.server.statistics().pending_handshakes == 10
        async with trio.open_nursery() as nursery:
            for line in hostile:
                nursery.start_soon(dribble, line)
            start = trio.current_time()
            honest = await kit.connect()
            assert trio.current_time() - start < 4, "they have a second each, and go ten at a time"
            for client in (honest, already):
                client.send_text("x")
                assert await client.receive() == "x"
            assert kit.server.statistics().pending_handshakes <= 10
            nursery.cancel_scope.cancel()
        assert (await hostile[0].receive_bytes()).startswith(b"HTTP/1.1 408 ")


async def dribble(line: Line) -> None:
    """Send a byte now and then until the server has had enough."""
    while line.end is None:
        line.send_bytes(b"x")
        await trio.sleep(0.05)


async def test_a_slow_head_has_the_handshake_s_time_when_there_is_room(autojump_clock: MockClock) -> None:
    async with open_kit(Echo()) as kit:
        hostile = kit.dial()
        hostile.send_bytes(b"GET / HTTP/1.1\r\n")
        assert (await hostile.receive_bytes()).startswith(b"HTTP/1.1 408 ")
        assert trio.current_time() == pytest.approx(10)
        assert kit.server.statistics().refused == 1


async def test_an_endless_head_is_refused_at_its_limit() -> None:
    async with serving(Echo(), capacity=Capacity(max_head=1000)) as server, stream_to(server) as stream:
        hostile = Peer(stream)
        await hostile.send(b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 1000)
        assert (await hostile.head()).status == 431


async def test_connections_of_one_address() -> None:
    resource, capacity = Echo(), Capacity(max_clients_per_address=3)
    async with serving(resource, capacity=capacity) as server, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(connected(server)) for _ in range(3)]
        for _ in range(3):
            async with stream_to(server) as stream:
                refused = Peer(stream)
                await refused.send(head("/"))
                assert (await refused.head()).status == 429
                assert b"retry-after: 5" in refused.handshake.lower()
        await peers[0].finish()
        await until(lambda: server.statistics().reserved == 2)
        await stack.enter_async_context(connected(server))


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.1", True),
    ],
)
def test_an_address_of_ipv6_is_a_network_of_64_bits(first: str, second: str, same: bool) -> None:
    places = Places(Capacity(max_clients_per_address=1))
    reservation = places.reserve(first, "place", None)
    if same:
        with pytest.raises(Reject) as refusal:
            places.reserve(second, "place", None)
        assert refusal.value.status == 429
        reservation.release()
    places.reserve(second, "place", None).release()


def test_unix_peers_have_no_address_to_count() -> None:
    places = Places(Capacity(max_clients_per_address=1))
    for _ in range(3):
        places.reserve("", "place", None)
    assert places.reserved == 3
