"""Readers that are slow or stand still: nobody waits for them, and they hold a bounded amount."""

import socket
from collections.abc import Callable, Iterator

import pytest
import trio
from trio.testing import MockClock

from tests.hostile.place import Place, Recorder, Served
from tests.wire import PING, PONG, Peer, frame
from wsframe import Limits, Timeouts
from wsframe.connection.memory_budget import FRAME_COST
from wsframe.limits import Overflow
from wsframe.testing import open_client, open_kit

Lines = Callable[[], list[str]]

TIGHT = Limits(max_outbox=100_000, unsent_low_water=16384)


@pytest.fixture
def small() -> Iterator[list[socket.socket]]:
    """A listening socket whose clients get a small buffer in the kernel."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    yield [sock]
    sock.close()


async def crowd(served: Served, count: int) -> list[Peer]:
    return [await served.open() for _ in range(count)]


async def test_99_clients_are_never_delayed_by_one_that_does_not_read(
    place: Place, small: list[socket.socket], info: Lines
) -> None:
    """All of them get each message before the next is sent, though the stalled one is still there."""
    resource = Recorder()
    async with place.serve(resource, sockets=small, limits=TIGHT, timeouts=Timeouts(ping_interval=None)) as served:
        stalled = await served.open(receive_buffer=4096)
        peers = await crowd(served, 99)
        await resource.until(lambda: len(resource.arrived) == 100)
        message = "x" * 10_000
        rounds = while_stalled = 0
        while served.server.clients == 100:
            assert rounds < 100, "the stalled client holds more than its limit"
            while_stalled += resource.broadcast_text(message).queued == 100
            for peer in peers:
                assert await peer.message() == message
            rounds += 1
        assert while_stalled >= 10, "its outbox took up to its limit"
        await resource.until(lambda: "-1006" in resource.log)
        assert [line for line in info() if line.endswith("outbox full; the client is disconnected")]
        assert await stalled.end() == "reset"
        assert served.server.clients == 99


async def read(stalled: Peer, count: int) -> tuple[list[str], list[int]]:
    """Read so many messages; return them, and the numbers in the pongs between them."""
    got: list[str] = []
    pongs: list[int] = []
    while len(got) < count:
        found = await stalled.receive()
        assert found is not None
        if found.opcode == PONG:
            pongs.append(int(found.payload))
        else:
            got.append(found.payload.decode())
    return got, pongs


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
async def test_other_policies_keep_a_stalled_client_and_its_stream_whole(
    place: Place, small: list[socket.socket], overflow: Overflow
) -> None:
    """Everything it gets later is decoded: no frame was dropped in its middle, no pong went into one."""
    policy = overflow

    class Feed(Recorder):
        overflow = policy

    resource = Feed()
    async with place.serve(resource, sockets=small, limits=TIGHT) as served:
        stalled = await served.open(receive_buffer=4096)
        await resource.until(lambda: resource.arrived)
        client = resource.arrived[0]
        sent = [f"{number:06}" + "x" * 3000 for number in range(200)]
        for number, message in enumerate(sent):
            client.send_text(message)
            if number % 20 == 0:
                await stalled.send(frame(PING, str(number)))
                await trio.testing.wait_all_tasks_blocked()
        assert served.server.clients == 1
        assert client.statistics().bytes_waiting <= 110_000
        dropped = client.statistics().messages_dropped
        assert dropped > 100
        client.send_text("end") if overflow == "drop_oldest" else None
        for_the_end = overflow == "drop_oldest" and client.statistics().messages_dropped - dropped
        got, pongs = await read(stalled, len(sent) - dropped - for_the_end)
        assert got == sorted(got)
        assert set(got) <= set(sent)
        assert (got[-1] == sent[-1]) == (overflow == "drop_oldest")
        assert pongs == sorted(pongs)
        assert pongs[-1:] == [180], "the newest ping is always answered"
        await stalled.text("hello")
        replies = await stalled.messages(2 if overflow == "drop_oldest" else 1)
        assert replies[-1] == "hello"


async def test_stalled_client_is_gone_after_the_write_stall(autojump_clock: MockClock, info: Lines) -> None:
    resource = Recorder()
    async with open_kit(resource, timeouts=Timeouts(ping_interval=None)) as kit:
        stalled, other = await kit.connect(), await kit.connect()
        stalled.stall()
        await resource.until(lambda: len(resource.arrived) == 2)
        resource.arrived[0].send_text("x" * 500_000)
        start = trio.current_time()
        other.send_text("hello")
        assert await other.receive() == "hello"
        assert await stalled.ended() == "reset"
        assert trio.current_time() - start == pytest.approx(30)
        await resource.until(lambda: "-1006" in resource.log)
        assert kit.server.clients == 1
        assert info() == ["127.0.0.1:50001 /: closed 1006 (write stall)"]


async def test_slow_reader_that_moves_survives_the_write_stall(autojump_clock: MockClock) -> None:
    """Also one whose buffers take longer to empty by a third, which is when the kernel says so, than the timeout."""
    resource = Recorder()
    async with open_client(resource, timeouts=Timeouts(ping_interval=None), patience=10_000) as slow:
        slow.slow_down(500)
        await resource.until(lambda: resource.arrived)
        resource.arrived[0].send_text("x" * 300_000)
        assert len(await slow.receive()) == 300_000
        assert trio.current_time() == pytest.approx(600, abs=1)
        assert "-1006" not in resource.log


async def test_keepalive_does_not_kill_a_reader_whose_ping_waits_behind_a_big_message(
    autojump_clock: MockClock,
) -> None:
    resource = Recorder()
    async with open_client(resource, buffer=8192, patience=10_000) as slow:
        slow.slow_down(1000)
        await resource.until(lambda: resource.arrived)
        resource.arrived[0].send_text("x" * 300_000)
        assert len(await slow.receive()) == 300_000
        assert trio.current_time() == pytest.approx(300, abs=1)
        assert "-1006" not in resource.log


async def test_fragments_leave_room_for_pongs_and_for_nothing_else(place: Place, small: list[socket.socket]) -> None:
    resource = Recorder()
    async with place.serve(resource, sockets=small) as served:
        peer = await served.open(receive_buffer=4096)
        await resource.until(lambda: resource.arrived)
        client = resource.arrived[0]
        client.send_text("y" * 300_000, frame_size=5000)
        client.send_text("whole")
        await peer.send(frame(PING, b"p"))
        await trio.testing.wait_all_tasks_blocked()
        kinds: list[int] = []
        while kinds[-1:] != [0x1] or len(kinds) < 62:
            found = await peer.receive()
            assert found is not None
            kinds.append(found.opcode)
        assert sorted(kinds) == [0] * 59 + [1, 1, PONG]
        assert kinds.index(PONG) < 60, "ahead of the fragments that waited"


async def test_pinging_a_client_that_does_not_read_holds_a_bounded_amount(
    place: Place, small: list[socket.socket]
) -> None:
    resource = Recorder()
    async with place.serve(resource, sockets=small, timeouts=Timeouts(ping_interval=None)) as served:
        await served.open(receive_buffer=4096)
        await resource.until(lambda: resource.arrived)
        client = resource.arrived[0]
        client.send_text("y" * 300_000)
        await trio.testing.wait_all_tasks_blocked()
        waiting = client.statistics().bytes_waiting
        assert waiting > 0, "its kernel is full"
        taken = sum(client.ping(bytes(125)) for _ in range(10_000))
        assert 0 < taken < 100
        assert client.statistics().bytes_waiting <= waiting + taken * (127 + FRAME_COST)
        assert await client.measure_latency() is None, "at once: there is no room for its ping either"
