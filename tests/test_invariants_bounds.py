"""The invariants, over real sockets: the cost of a client, in bytes and in time (4, 5, 6, 7)."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.recorder import Echo, Recorder
from tests.wire import BINARY, PING, PONG, TEXT, ask, close, connected, frame, head, serving, status, text
from wsframe import Capacity, Limits, Timeouts
from wsframe.connection.memory_budget import FRAME_COST
from wsframe.net.poller import PollerName

MUCH = 16 * 1024 * 1024


async def test_invariant_4_sending_to_a_stalled_peer_returns_at_once(poller: PollerName) -> None:
    class Lossy(Recorder):
        overflow = "drop_newest"

    room = Lossy()
    async with serving(room, poller=poller) as server, connected(server, window=4096):
        await room.journal.until("connected")
        client = room.only
        assert client.send(bytes(MUCH)) is True, "an empty outbox takes any one message"
        assert [client.send(bytes(100_000)) for _ in range(20)] == [False] * 20
        assert room.broadcast_text("x" * 100_000) == (0, 1)
        assert client.ping() is True


async def test_invariant_4_sending_to_a_peer_that_is_gone_is_no_error(poller: PollerName) -> None:
    room = Recorder()
    async with serving(room, poller=poller) as server, connected(server) as peer:
        await room.journal.until("connected")
        client = room.only
        peer.reset()
        while client.send("x"):  # until the server has noticed
            await trio.lowlevel.checkpoint()
        await room.journal.until("disconnected 1006")
        assert room.broadcast_text("x") == (0, 0)


@pytest.mark.parametrize(
    ("limits", "data"),
    [
        (Limits(max_message=10), frame(BINARY, bytes(11))),
        (Limits(max_message=1000), frame(BINARY, bytes(100_000))[:10]),
        (Limits(max_message=10), frame(BINARY, bytes(6), fin=False) + frame(0, bytes(5))),
        (Limits(max_frame=10), text("x" * 11)),
        (Limits(max_fragments=3), frame(TEXT, fin=False) + frame(0, fin=False) * 3),
        (Limits(max_message=10), text("ü" * 6)),
    ],
)
async def test_invariant_5_message_beyond_the_limits_closes_1009(
    poller: PollerName, limits: Limits, data: bytes
) -> None:
    """Decided from the header: the payload need not have come."""
    room = Recorder()
    async with serving(room, poller=poller, limits=limits) as server, connected(server) as peer:
        await peer.send(data)
        assert await peer.receive_close() == (1009, "message too big")
        await room.journal.until("disconnected 1009")
    assert room.notes == ["connected", "disconnected 1009"]


async def test_invariant_5_messages_at_the_limits_pass(poller: PollerName) -> None:
    limits = Limits(max_message=12, max_frame=6, max_fragments=2)
    room = Recorder()
    async with serving(room, poller=poller, limits=limits) as server, connected(server) as peer:
        await peer.send(frame(TEXT, b"123456", fin=False), frame(PING, bytes(125)), frame(0, b"789012"))
        await room.journal.until("text 123456789012")


async def test_invariant_5_flood_of_messages_waits_in_the_kernel(poller: PollerName) -> None:
    room = Recorder()
    count = 20_000
    limits = Limits(max_queued_messages=10)
    async with serving(room, poller=poller, limits=limits) as server, connected(server) as peer:
        await peer.send(text("hold"))
        await room.journal.until("text hold")
        client = room.only
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.send, frame(BINARY, bytes(1000)) * count)
            await wait_all_tasks_blocked(0.02)
            assert client.statistics().messages_waiting <= 10
            assert client.statistics().messages_received <= 11
            room.release.set()
            await room.journal.when(lambda notes: len(notes) >= 2 + count)
        assert client.statistics().messages_received == 1 + count


async def test_invariant_5_flood_of_bytes_waits_in_the_kernel(poller: PollerName) -> None:
    room = Recorder()
    limits = Limits(max_queued_bytes=100_000)
    async with serving(room, poller=poller, limits=limits) as server, connected(server) as peer:
        await peer.send(text("hold"))
        await room.journal.until("text hold")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.send, frame(BINARY, bytes(10_000)) * 1000)
            await wait_all_tasks_blocked(0.02)
            assert room.only.statistics().messages_waiting * 10_000 <= 100_000 + 65_536 + 10_000
            room.release.set()
            await room.journal.when(lambda notes: len(notes) >= 2 + 1000)


async def test_invariant_5_flood_of_pings_from_a_stalled_peer_costs_one_pong(poller: PollerName) -> None:
    room = Recorder()
    async with (
        serving(room, poller=poller, limits=Limits(max_outbox=MUCH)) as server,
        connected(server, window=4096) as peer,
    ):
        await room.journal.until("connected")
        client = room.only
        client.send(bytes(MUCH))
        await wait_all_tasks_blocked()
        before = client.statistics().bytes_waiting
        await peer.send(frame(PING, bytes(125)) * 5000, text("sent"))
        await room.journal.until("text sent")
        assert client.statistics().bytes_waiting <= before + 127 + FRAME_COST


@pytest.mark.parametrize("overflow", ["disconnect", "drop_oldest", "drop_newest"])
async def test_invariant_5_outbox_holds_its_limit_and_one_message_at_most(poller: PollerName, overflow: str) -> None:
    room: Recorder = type("Room", (Recorder,), {"overflow": overflow})()
    limit, size = 100_000, 30_000
    async with (
        serving(room, poller=poller, limits=Limits(max_outbox=limit)) as server,
        connected(server, window=4096),
    ):
        await room.journal.until("connected")
        client = room.only
        most = 0
        for _ in range(1000):
            client.send(bytes(size))
            most = max(most, client.statistics().bytes_waiting)
        assert most <= limit + size + 10
        assert client.statistics().messages_dropped > 0
        assert (client.state is wsframe.State.CLOSED) == (overflow == "disconnect")


async def test_invariant_5_head_beyond_its_limit_is_answered_431(poller: PollerName) -> None:
    async with serving(Recorder(), poller=poller, capacity=Capacity(max_head=2000)) as server:
        assert await status(server, fields={"X-Long": "x" * 3000}) == 431
        assert await status(server, "/" + "x" * 3000) == 431


async def test_invariant_5_body_beyond_its_limit_is_answered_413_before_it_is_read(poller: PollerName) -> None:
    registry = wsframe.Registry()
    registry.route("/", wsframe.healthz)
    request = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 101\r\n\r\n"
    async with wsframe.open_server(registry, port=0, poller=poller, capacity=Capacity(max_body=100)) as server:
        assert (await ask(server, request)).startswith(b"HTTP/1.1 413 ")
        assert server.statistics().bytes_waiting == 0


async def test_invariant_5_aborted_client_leaves_nothing_in_the_kernel(poller: PollerName) -> None:
    """A reset: an orderly close would leave the peer's unread data behind, without an owner."""
    room = Recorder()
    async with serving(room, poller=poller, limits=Limits(max_outbox=MUCH)) as server, connected(server) as peer:
        await room.journal.until("connected")
        room.only.send(bytes(MUCH))
        room.only.abort()
        assert await peer.end() == "reset"


async def test_invariant_5_place_is_held_until_disconnected_has_run(poller: PollerName) -> None:
    """A peer that drops in a loop piles up no lives in the mailbox of a busy resource."""
    room = Recorder()
    times = Timeouts(close=0.1)
    async with serving(room, poller=poller, capacity=Capacity(max_clients=2), timeouts=times) as server:
        async with connected(server, trailing=text("hold")):
            await room.journal.until("text hold")
            client = room.only
        await client.closed()
        async with connected(server):
            assert await status(server) == 503
        room.release.set()
        await room.journal.until("disconnected 1006", 2)


async def test_invariant_6_silent_peer_is_gone_though_the_hooks_hang(
    poller: PollerName, patient_clock: MockClock
) -> None:
    room = Recorder()
    times = Timeouts(ping_interval=2, ping_timeout=3)
    async with serving(room, poller=poller, timeouts=times) as server, connected(server) as peer:
        await peer.send(text("hold"))
        await room.journal.until("text hold")
        client, start = room.only, trio.current_time()
        await client.closed()
        assert trio.current_time() - start == pytest.approx(5, abs=1)
        assert (client.close_code, client.close_reason) == (1006, "ping timeout")
        assert await peer.end() == "reset"
        room.release.set()


async def test_invariant_6_peer_that_answers_pings_stays(poller: PollerName, patient_clock: MockClock) -> None:
    room = Recorder()
    times = Timeouts(ping_interval=1, ping_timeout=1)
    async with serving(room, poller=poller, timeouts=times) as server, connected(server) as peer:
        start = trio.current_time()
        while trio.current_time() - start < 10:
            ping = await peer.receive()
            assert ping is not None
            assert ping.opcode == PING
            await peer.send(frame(PONG, ping.payload))
        assert room.notes == ["connected"]


async def test_invariant_6_peer_that_takes_nothing_is_gone(poller: PollerName, patient_clock: MockClock) -> None:
    room = Recorder()
    times = Timeouts(write_stall=3, ping_interval=None)
    async with (
        serving(room, poller=poller, timeouts=times, limits=Limits(max_outbox=MUCH)) as server,
        connected(server, window=4096),
    ):
        await room.journal.until("connected")
        client, start = room.only, trio.current_time()
        client.send(bytes(MUCH))
        await client.closed()
        # The kernel can still move bytes before the first look, which is progress: then it is looked at again.
        assert 2 <= trio.current_time() - start <= 30
        assert client.close_reason == "write stall"


async def test_invariant_6_slow_peer_that_moves_stays(poller: PollerName, patient_clock: MockClock) -> None:
    room = Recorder()
    times = Timeouts(write_stall=2, ping_interval=None)
    async with (
        serving(room, poller=poller, timeouts=times, limits=Limits(max_outbox=MUCH)) as server,
        connected(server) as peer,
    ):
        await room.journal.until("connected")
        room.only.send(bytes(MUCH))
        read = 0
        for _ in range(10):
            await trio.sleep(1)
            for _ in range(16):
                read += len(await peer.stream.receive_some(65536))
        assert read < MUCH
        assert room.notes == ["connected"]
        assert room.only.state is wsframe.State.OPEN


async def test_invariant_6_peer_that_answers_no_close_is_gone(poller: PollerName, patient_clock: MockClock) -> None:
    room = Recorder()
    async with serving(room, poller=poller, timeouts=Timeouts(close=3)) as server, connected(server) as peer:
        await room.journal.until("connected")
        client, start = room.only, trio.current_time()
        client.close()
        await client.closed()
        assert trio.current_time() - start == pytest.approx(3, abs=1)
        assert await peer.receive_close() == (1000, "")
        assert await peer.end() == "reset"
        await room.journal.until("disconnected 1006")


async def test_invariant_6_peer_that_never_ends_tcp_is_gone(poller: PollerName, patient_clock: MockClock) -> None:
    room = Recorder()
    async with serving(room, poller=poller, timeouts=Timeouts(close=3)) as server, connected(server) as peer:
        await room.journal.until("connected")
        client, start = room.only, trio.current_time()
        await peer.send(close())
        await client.closed()
        assert trio.current_time() - start == pytest.approx(3, abs=1)
        assert server.clients == 0


async def test_invariant_6_peer_that_dawdles_over_its_request_is_gone(
    poller: PollerName, patient_clock: MockClock
) -> None:
    async with serving(Recorder(), poller=poller, timeouts=Timeouts(handshake=3)) as server:
        start = trio.current_time()
        answer = await ask(server, head("/")[:-2])
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert trio.current_time() - start == pytest.approx(3, abs=1.5)


async def test_invariant_7_reactor_does_not_wait_for_hooks(poller: PollerName) -> None:
    stuck, other = Recorder(), Echo()
    async with (
        serving({"/stuck": stuck, "/other": other}, poller=poller) as server,
        connected(server, "/stuck", trailing=text("hold")) as first,
        connected(server, "/other") as second,
    ):
        await stuck.journal.until("text hold")
        await first.send(frame(PING, b"alive?"))
        pong = await first.receive()
        assert pong is not None
        assert (pong.opcode, pong.payload) == (PONG, b"alive?")
        await second.send(text("x"))
        assert await second.receive_text() == "x"
        assert stuck.notes == ["connected", "text hold"]
        stuck.release.set()


async def test_invariant_7_reactor_does_not_wait_for_a_client(poller: PollerName) -> None:
    room = Echo()
    async with (
        serving(room, poller=poller, limits=Limits(max_outbox=MUCH)) as server,
        connected(server, window=4096) as stalled,
        connected(server) as other,
    ):
        await room.journal.until("connected", 2)
        for client in room.clients:
            if client.port == stalled.port:
                client.send(bytes(MUCH))
        for number in range(100):
            await other.send(text(str(number)))
            assert await other.receive_text() == str(number)
