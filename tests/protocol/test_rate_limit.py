"""How fast a client may send: the bucket, its deadline, and a client that floods."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.client_frames import frame
from tests.pollers import POLLERS
from tests.wire import BINARY, FIN, PING, PONG, TEXT, close, connected, serving, text, until
from wsframe.limits import DEFAULT_TIMEOUTS, Limits
from wsframe.net.poller import PollerName
from wsframe.protocol.deadlines import Deadlines, Due
from wsframe.protocol.pool import STEPS
from wsframe.protocol.rate_limit import Bucket
from wsframe.testing import open_client, open_kit


def test_a_second_s_worth_may_come_at_once() -> None:
    bucket = Bucket(10, 100.0)
    assert [bucket.take(1, 100.0) for _ in range(10)] == [0.0] * 10
    assert bucket.take(1, 100.0) == pytest.approx(0.1)
    assert bucket.take(2, 100.0) == pytest.approx(0.3)


def test_it_fills_up_at_its_rate_and_no_further() -> None:
    bucket = Bucket(10, 0.0)
    assert bucket.take(10, 0.0) == 0.0
    assert bucket.take(5, 0.5) == 0.0
    assert bucket.take(1, 0.5) == pytest.approx(0.1)
    assert bucket.take(10, 1_000.0) == 0.0
    assert bucket.take(1, 1_000.0) == pytest.approx(0.1)


def test_a_debt_is_paid_off_before_anything_is_left() -> None:
    bucket = Bucket(10, 0.0)
    assert bucket.take(110, 0.0) == pytest.approx(10.0)
    assert bucket.take(0, 4.0) == pytest.approx(6.0)
    assert bucket.take(0, 10.0) == pytest.approx(0.0)
    assert bucket.take(1, 10.1) == pytest.approx(0.0)


@given(st.integers(1, 50), st.lists(st.tuples(st.integers(0, 200), st.floats(0, 3)), min_size=1, max_size=30))
def test_whoever_waits_as_told_keeps_to_the_rate(rate: int, takes: list[tuple[int, float]]) -> None:
    bucket, now, taken, pause = Bucket(rate, 0.0), 0.0, 0, 0.0
    for tokens, idle in takes:
        now += pause + idle
        # The earlier bytes have been paid for, but for one second's worth.
        assert taken <= rate * (now + 1) * (1 + 1e-9) + 1e-6
        pause = bucket.take(tokens, now)
        taken += tokens
        assert pause >= 0


def test_a_deadline_resumes_reading() -> None:
    deadlines = Deadlines(replace(DEFAULT_TIMEOUTS, ping_interval=None), 0.0)
    deadlines.paused = True
    assert deadlines.next() == inf
    deadlines.resume_at = 7.0
    assert deadlines.next() == 7.0
    assert deadlines.due(6.9) == []
    assert deadlines.due(7.0) == [Due.RESUME]
    deadlines.resume_at = None
    assert deadlines.due(7.0) == []


class Counting(wsframe.Resource):
    """Notes messages, and answers ``last``."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.departed: list[int | None] = []

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        self.received.append(message)
        if message == "last":
            client.send_text(f"after {len(self.received)}")

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        self.received.append("")

    async def disconnected(self, client: wsframe.Client) -> None:
        self.departed.append(client.close_code)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(max_message_rate=40),
        Limits(max_byte_rate=400),
        Limits(max_message_rate=40, max_byte_rate=400_000, max_queued_messages=7),
    ],
)
async def test_a_flooding_client_is_slowed_down_and_not_disconnected(autojump_clock: MockClock, limits: Limits) -> None:
    """Ten bytes a message: 100 take a second and a half for all but the burst."""
    resource = Counting()
    async with open_kit(resource, limits=limits) as kit:
        flooder, other = await kit.connect(), await kit.connect()
        start = trio.current_time()
        flooder.send_bytes(text("abcd") * 100)
        await wait_all_tasks_blocked()
        assert resource.received
        flooder.send_text("last")
        other.send_text("last")
        await other.receive()
        assert trio.current_time() == start, "the other waits for nothing"
        assert await flooder.receive() == "after 102"
        assert trio.current_time() - start == pytest.approx(1.5, abs=0.03)
    assert resource.departed == [1000, 1000]


@pytest.mark.parametrize("poller", POLLERS)
async def test_a_flood_over_a_socket_is_slowed_down(poller: PollerName) -> None:
    resource = Counting()
    limits = Limits(max_message_rate=400)
    async with serving(resource, limits=limits, poller=poller) as server, connected(server) as flooder:
        began = trio.current_time()
        await flooder.send(text("abcd") * 480)
        await until(lambda: resource.received)
        await flooder.send(text("last"))
        assert (await flooder.receive_message()).decode() == "after 481"
        assert trio.current_time() - began > 0.19
        await flooder.finish()


async def test_what_is_cut_off_in_mid_frame_counts_whole(autojump_clock: MockClock) -> None:
    resource = Counting()
    async with open_client(resource, limits=Limits(max_byte_rate=2_000)) as flooder:
        start = trio.current_time()
        message = frame(FIN | BINARY, b"x" * 992)  # 1000 bytes
        flooder.send_bytes(message * 4 + message[:20])
        await wait_all_tasks_blocked()
        flooder.send_bytes(message[20:] + text("last"))
        assert await flooder.receive() == "after 6"
        assert 1 < trio.current_time() - start <= 1 + 1 / STEPS


@pytest.mark.parametrize("first", [FIN | PING, FIN | PONG], ids=["pings", "pongs"])
async def test_control_frames_count(autojump_clock: MockClock, first: int) -> None:
    """They are read after the first message, so both have been read when the last is sent."""
    resource = Counting()
    async with open_client(resource, limits=Limits(max_message_rate=20)) as flooder:
        start = trio.current_time()
        flooder.send_bytes(text("last") + frame(first, b"?") * 39)
        if first == FIN | PING:
            pongs = [await flooder.receive_frame() for _ in range(39)]
            assert {pong.opcode for pong in pongs} == {PONG}
        assert await flooder.receive() == "after 1"
        flooder.send_text("last")
        assert await flooder.receive() == "after 2"
        assert trio.current_time() - start == pytest.approx(1, abs=0.03)


async def test_a_client_slowed_down_is_closed_in_order() -> None:
    """Once a close frame is on its way, the peer's own is not to wait for the rate."""
    resource = Counting()
    async with serving(resource, limits=Limits(max_byte_rate=100)) as server, connected(server) as flooder:
        await flooder.send(text("x" * 2000))
        await until(lambda: resource.received)
        [client] = resource.clients
        began = trio.current_time()
        client.close(4000)
        await flooder.send(text("y" * 2000) * 9)
        closing = await flooder.receive()
        assert closing is not None
        assert closing.code == 4000
        await flooder.send(close(4000))
        await until(lambda: resource.departed)
        assert trio.current_time() - began < 4
    assert resource.departed == [4000]


@pytest.mark.parametrize("flood", [text("abcd") * 600, frame(FIN | PING) * 600], ids=["messages", "pings"])
async def test_a_client_that_is_gone_while_slowed_down_is_not_forgotten(flood: bytes) -> None:
    """More than one turn's worth came in one segment; the rest waits for a timer that has nothing to watch any more."""
    resource = Counting()
    async with serving(resource, limits=Limits(max_message_rate=1)) as server:
        async with connected(server) as flooder:
            await flooder.send(text("first"), flood)
            await until(lambda: resource.received)
            await wait_all_tasks_blocked()
            flooder.reset()
            await until(lambda: resource.departed)
        assert resource.departed == [1006]
        assert server.statistics().reserved == 0
        assert resource.received == ["first", *["abcd"] * (600 if flood[0] == FIN | TEXT else 0)]
