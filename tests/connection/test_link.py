"""Reading one client: pausing, going on in the middle of a buffer, and every way it may break off."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.hostile.place import Place, Recorder, Served, until
from tests.local_server import local_server_of
from tests.wire import BINARY, PING, PONG, TEXT, Frame, Peer, connected, frame, serving
from wsframe import Deflate, Limits, Timeouts
from wsframe.connection.link import Link
from wsframe.protocol.deflate import Deflater
from wsframe.protocol.frames import control_frame
from wsframe.testing import open_kit

# Bytes of one receive buffer; bytes that one read brought beyond the share are kept undecoded.
RECEIVE_BUFFER = 65536


def link_of(served: Served) -> Link:
    """Return the link of the only client."""
    (link,) = local_server_of(served.server).reactor.links.values()
    return link


@pytest.mark.parametrize("share", [1, 4, 256])
@pytest.mark.parametrize("more", [1, 2, 3000])
async def test_messages_beyond_the_share_in_one_segment_are_all_answered(place: Place, share: int, more: int) -> None:
    """The kernel never announces bytes that are left in user space: a resumed client begins with it."""
    async with place.serve(Recorder(), limits=Limits(max_queued_messages=share)) as served:
        peer = await served.open()
        sent = [str(number) for number in range(share + more)]
        await peer.text(*sent)
        assert await peer.messages(len(sent)) == sent
        await peer.text("again")
        assert await peer.message() == "again"


async def test_share_may_be_one_of_bytes(plain: Place) -> None:
    async with plain.serve(Recorder(), limits=Limits(max_queued_bytes=10)) as served:
        peer = await served.open()
        sent = ["x" * 9, "y" * 100, "z"] * 20
        await peer.text(*sent)
        assert await peer.messages(60) == sent


async def test_pings_that_use_up_the_room_are_all_answered_with_what_stands_between(place: Place) -> None:
    async with place.serve(Recorder(), limits=Limits(max_queued_messages=10)) as served:
        peer = await served.open()
        await peer.send(*[frame(PING, str(number)) for number in range(1000)], frame(TEXT, "end"))
        pongs = 0
        while pongs < 1000:
            found = await peer.receive()
            assert found is not None
            if found.opcode == PONG:
                assert found.payload == str(pongs).encode()
                pongs += 1
        await peer.text("on")
        assert await peer.messages(2) == ["end", "on"]


async def test_ping_flood_is_not_kept(plain: Place) -> None:
    """Pings are no messages and never pause the client, but they may not pile up undecoded either."""
    async with plain.serve(Recorder(), limits=Limits(max_queued_messages=8)) as served:
        peer = await served.open()
        link = link_of(served)
        most = 0
        flood = frame(PING, bytes(125)) * 1000

        async def send() -> None:
            for _ in range(8):
                await peer.send(flood)
            sent.set()

        sent = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.end)
            nursery.start_soon(send)
            while not sent.is_set():
                most = max(most, link.connection.undecoded)
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert most <= 2 * RECEIVE_BUFFER


@asynccontextmanager
async def paused(place: Place, *, share: int = 5) -> AsyncIterator[tuple[Served, Peer, Recorder]]:
    """Serve a client that is paused: its hook waits, and its share of the mailbox is used up."""
    resource = Recorder()
    async with place.serve(resource, limits=Limits(max_queued_messages=share)) as served:
        peer = await served.open()
        await peer.text("wait")
        await resource.until(lambda: "wait" in resource.log)
        await peer.text(*map(str, range(share)))
        link = link_of(served)
        await until(lambda: link.inbox.paused)
        try:
            yield served, peer, resource
        finally:
            resource.gate.set()


async def test_sender_to_a_paused_client_is_held_up_by_tcp_and_memory_is_bounded(place: Place) -> None:
    async with paused(place) as (served, peer, _):
        link = link_of(served)
        sent = 0
        piece = frame(BINARY, bytes(100_000))

        async def flood() -> None:
            nonlocal sent
            while True:
                await peer.send(piece)
                sent += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            await wait_all_tasks_blocked(0.05)
            before = sent
            await wait_all_tasks_blocked(0.1)
            assert sent == before, "the sender stands still"
            assert link.inbox.waiting == 5
            assert link.connection.undecoded <= RECEIVE_BUFFER
            nursery.cancel_scope.cancel()
        await served.open()


async def test_share_is_bounded_whatever_the_number_of_messages_in_a_segment(plain: Place) -> None:
    async with paused(plain) as (served, peer, resource):
        link = link_of(served)
        await peer.send(frame(TEXT) * 20_000)
        await wait_all_tasks_blocked(0.02)
        assert link.inbox.waiting == 5
        assert len(link.inbox.mailbox.entries) == 5
        resource.gate.set()
        assert await peer.messages(6 + 20_000) == ["wait", *"01234", *[""] * 20_000]


@pytest.mark.parametrize("how", ["fin", "half", "reset"])
async def test_end_of_a_paused_client_is_noticed_at_once(place: Place, how: str) -> None:
    """Its hook is still busy; received messages are delivered, others are lost, and the end comes after them."""
    async with paused(place) as (served, peer, resource):
        await peer.text("never read")
        if how == "half":
            peer.half_close()
        elif how == "fin":
            peer.socket.close()
        else:
            peer.reset()
        await until(lambda: not served.server.clients)
        assert not resource.gate.is_set()
        assert resource.log == ["+", "wait"]
        assert resource.arrived[0].close_code == 1006
        resource.gate.set()
        await resource.until(lambda: "-1006" in resource.log)
        assert resource.log == ["+", "wait", *"01234", "-1006"]
        await served.idle()


async def test_pausing_ends_nobody_and_what_comes_meanwhile_is_read_later(place: Place) -> None:
    async with paused(place) as (served, peer, resource):
        await peer.text("later")
        await wait_all_tasks_blocked(0.02)
        assert served.server.clients == 1
        resource.gate.set()
        assert await peer.messages(7) == ["wait", *"01234", "later"]


async def test_client_that_is_ahead_of_its_rate_and_gone_is_worked_off_at_once(place: Place) -> None:
    resource = Recorder()
    async with place.serve(resource, limits=Limits(max_message_rate=1, max_queued_messages=5)) as served:
        peer = await served.open()
        await peer.text(*map(str, range(1000)))
        await until(lambda: link_of(served).connection.deadlines.resume_at is not None)
        peer.half_close()
        await resource.until(lambda: "-1006" in resource.log)
        assert resource.log == ["+", *map(str, range(1000)), "-1006"]
        peer.reset()
        await served.idle()


async def test_peer_that_shut_its_side_does_not_wait_for_stuck_hooks_for_ever(autojump_clock: MockClock) -> None:
    """It has sent more than its share, which is in user space: the rest is delivered, but its socket does not stay."""
    resource = Recorder()
    async with open_kit(resource, limits=Limits(max_queued_messages=2)) as kit:
        client = await kit.connect()
        for message in ("wait", *"012345"):
            client.send_text(message)
        await resource.until(lambda: "wait" in resource.log)
        await wait_all_tasks_blocked()
        client.half_close()
        start = trio.current_time()
        assert await client.ended() == "eof"
        assert trio.current_time() - start == pytest.approx(5, abs=1)
        assert kit.server.statistics().reserved == 1
        resource.gate.set()
        await resource.until(lambda: "-1006" in resource.log)
        assert resource.log[:2] == ["+", "wait"]
        await wait_all_tasks_blocked()
        assert kit.server.statistics().reserved == 0


async def test_end_that_is_stuck_behind_what_is_not_read_meets_a_ping(patient_clock: MockClock) -> None:
    """A peer that closes while its bytes have no room here sends no end: its kernel waits, and nobody is there."""
    resource = Recorder()
    place = Place("task", None)
    timeouts = wsframe.Timeouts(ping_interval=5)
    async with place.serve(resource, limits=Limits(max_queued_messages=5), timeouts=timeouts) as served:
        peer = await served.open()
        await peer.text("wait")
        await resource.until(lambda: "wait" in resource.log)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        piece = frame(BINARY, bytes(100_000))
        with trio.move_on_after(1):
            while True:
                await peer.send(piece)
        peer.socket.close()
        while served.server.clients:  # noqa: ASYNC110
            await trio.sleep(0.5)
        assert not resource.gate.is_set()
        resource.gate.set()


@pytest.mark.parametrize("count", [1, 10, 1000])
async def test_messages_whole_before_a_reset_are_delivered(place: Place, count: int) -> None:
    resource = Recorder()
    async with place.serve(resource, timeouts=Timeouts(close=600)) as served:
        peer = await served.open()
        sent = [str(number) for number in range(count)]
        await peer.send(*(frame(TEXT, message) for message in sent), frame(TEXT, "half")[:-2])
        await resource.until(lambda: len(resource.log) > min(count, 256))
        peer.reset()
        await resource.until(lambda: "-1006" in resource.log)
        assert resource.log == ["+", *sent, "-1006"]
        await served.idle()  # nothing is left that only a timeout would end


async def test_messages_received_are_delivered_though_a_send_meets_the_reset_first(plain: Place) -> None:
    """The error of a send says nothing about the bytes that the kernel has received before it."""
    resource = Recorder()
    async with plain.serve(resource) as served:
        peer = await served.open()
        await resource.until(lambda: resource.arrived)
        client = resource.arrived[0]
        with socket.fromfd(peer.socket.fileno(), socket.AF_INET, socket.SOCK_STREAM) as raw:
            raw.send(frame(TEXT, "last"))  # not through trio: the server has no turn before the reset
        peer.reset()
        client.send_text("to nobody")
        await client.drained()
        await resource.until(lambda: resource.log[-1].startswith("-"))
        assert resource.log == ["+", "last", "-1006"]


@pytest.mark.parametrize("cut", [0, 1, 3, 7, 40])
async def test_reset_in_the_middle_of_a_frame_is_one_disconnect(place: Place, cut: int) -> None:
    resource = Recorder()
    async with place.serve(resource) as served:
        peer = await served.open()
        await peer.send(frame(BINARY, bytes(300))[:cut] or b"\x89")
        peer.reset()
        await resource.until(lambda: "-1006" in resource.log)
        assert resource.log == ["+", "-1006"]
        await served.idle()


async def test_half_close_with_replies_pending_gets_the_replies(place: Place) -> None:
    async with paused(place) as (_, peer, resource):
        if place.tls is None:
            peer.half_close()
            resource.gate.set()
            assert await peer.messages(6) == ["wait", *"01234"]
            assert await peer.end() == "fin"
            assert resource.log[-1] == "-1006"
        else:
            resource.gate.set()
            assert await peer.messages(6) == ["wait", *"01234"]


async def test_hook_that_waits_delays_its_own_resource_only(place: Place) -> None:
    """Pings of its clients are answered, and the messages it sent before it waited have left."""

    class Slow(Recorder):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            client.send_text("before")
            await super().received_text(client, message)

    slow = Slow()
    async with place.serve(slow, Recorder()) as served:
        peer, other = await served.open("/"), await served.open("/1")
        await peer.text("wait")
        assert await peer.message() == "before"
        await peer.send(frame(PING, b"there?"), frame(TEXT, "next"))
        found = await peer.receive()
        assert found == Frame(PONG, b"there?")
        for number in range(10):
            await other.text(str(number))
            assert await other.message() == str(number)
        assert slow.log == ["+", "wait"]
        slow.gate.set()
        assert await peer.messages(3) == ["wait", "before", "next"]


async def test_pongs_of_one_read_are_one_piece_of_the_outbox(plain: Place) -> None:
    """Each that is put walks past those before it: one by one a read of pings took a time that grew with its square."""
    async with plain.serve(Recorder()) as served:
        peer = await served.open()
        link = link_of(served)
        payloads = [b"%d" % number for number in range(200)]
        link.take(bytearray(b"".join(frame(PING, payload) for payload in payloads)))
        assert list(link.outbox.items) == [b"".join(control_frame(PONG, payload) for payload in payloads)]
        peer.reset()


async def test_a_ping_to_a_silent_client_gives_its_compressor_back() -> None:
    class Told(wsframe.Resource):
        deflate = Deflate.dedicated()

    def holds(client: wsframe.Client) -> bool:
        assert isinstance(client._encoder, Deflater)
        return client._encoder._compressor is not None

    resource = Told()
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    async with (
        serving(resource, timeouts=Timeouts(ping_interval=0.05)) as server,
        connected(server, "/", offer) as peer,
    ):
        await until(lambda: resource.clients)
        (client,) = resource.clients
        client.send_text("text " * 100)
        assert holds(client)
        while (received := await peer.receive()) is not None and received.opcode != PING:
            pass
        await until(lambda: not holds(client))
        client.send_text("more " * 100)
        assert holds(client)
