"""``connect_forever`` against servers on loopback that come, refuse, drop and go, and cancelled in every phase."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import pairwise
from random import Random

import pytest
import trio
import trio.testing

from tests.outgoing.places import Script, head_of, listening, upgrading
from wsframe import Backoff, ConnectionClosed, HandshakeRejected, Opening, Timeouts
from wsframe.outgoing import options
from wsframe.outgoing.reconnect import connect_forever

BUSY = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy"
UNAUTHORIZED = b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno"
# The clock jumps after this long without work: bytes on their way through loopback arrive before.
IDLE = 0.01


@pytest.fixture
def jumping() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=IDLE)


@pytest.fixture(autouse=True)
def longest_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "random", lambda: 1.0)


class Moody:
    """A server that treats each connection as its list says: an answer, or None to hang up; then it upgrades."""

    def __init__(self, *moods: bytes | None, then: Script | None = None) -> None:
        self.moods: Iterator[bytes | None] = iter(moods)
        self.then = then or upgrading(tail=b"\x81\x02hi")
        self.asked_at: list[float] = []

    async def __call__(self, stream: trio.SocketStream) -> None:
        head = await head_of(stream)
        self.asked_at.append(trio.current_time())
        answer = next(self.moods, self.then(head))
        if answer is None:
            return
        await stream.send_all(answer)
        if answer.endswith(b"\x81\x02hi"):
            async for _ in stream:
                pass

    @property
    def pauses(self) -> list[float]:
        return [after - before for before, after in pairwise(self.asked_at)]


async def test_what_a_server_asks_for_is_waited_and_a_drop_is_not_hot(jumping: trio.testing.MockClock) -> None:
    server = Moody(BUSY, None, BUSY, None)
    failures: list[Exception] = []
    async with (
        listening(server) as port,
        connect_forever(f"ws://127.0.0.1:{port}/", failed=lambda error, _: failures.append(error)) as connections,
    ):
        ws = await anext(connections)
        assert await ws.receive() == "hi"
        ws.abort()
    assert server.pauses == [pytest.approx(expected, abs=0.5) for expected in (7, 2, 7, 8)]
    assert [type(error) for error in failures] == [HandshakeRejected, ConnectionResetError] * 2


async def test_a_refusal_for_good_ends_it_and_it_may_be_asked_again(jumping: trio.testing.MockClock) -> None:
    server = Moody(None, UNAUTHORIZED)
    async with listening(server) as port, connect_forever(f"ws://127.0.0.1:{port}/") as connections:
        with pytest.raises(HandshakeRejected, match="401"):
            await anext(connections)
        ws = await anext(connections)
        assert await ws.receive() == "hi"
        ws.abort()


@pytest.mark.parametrize("tail", [b"", b"\x88\x00", b"\xff\xff", b"\x81\x05hi"])
async def test_a_server_that_accepts_and_drops_is_asked_ever_less(tail: bytes, jumping: trio.testing.MockClock) -> None:
    server = Moody(then=upgrading(tail=tail))
    async with (
        listening(server) as port,
        connect_forever(f"ws://127.0.0.1:{port}/", timeouts=Timeouts(close=0)) as connections,
    ):
        async for ws in connections:
            with pytest.raises(ConnectionClosed):
                await ws.receive()
            if len(server.asked_at) == 9:
                break
    assert server.pauses == [pytest.approx(expected, abs=0.5) for expected in (1, 2, 4, 8, 16, 32, 60, 60)]


async def test_a_name_that_is_not_known_is_tried_again(
    jumping: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = [socket.gaierror(-2, "Name or service not known"), socket.gaierror(-3, "Temporary failure")]
    server = Moody()

    async def opens(host: str, port: int) -> trio.SocketStream:
        await trio.lowlevel.checkpoint()
        if unknown:
            raise unknown.pop(0)
        return await real("127.0.0.1", port)

    real = trio.open_tcp_stream
    monkeypatch.setattr(trio, "open_tcp_stream", opens)
    async with listening(server) as port, connect_forever(f"ws://chat.example:{port}/") as connections:
        ws = await anext(connections)
        assert await ws.receive() == "hi"
        ws.abort()
    assert not unknown
    assert trio.current_time() == pytest.approx(3, abs=0.5)


async def test_it_is_cancelled_in_any_phase_and_goes_on(jumping: trio.testing.MockClock) -> None:
    """Resolving, connecting, the answer, a pause, a connection and its close: then it is asked again."""
    random, server = Random(1), Moody(*[BUSY, None, b"HTTP/1.1 "] * 20)
    seen = 0
    async with (
        listening(server) as port,
        connect_forever(
            f"ws://127.0.0.1:{port}/",
            backoff=Backoff(first=0.5, most=2),
            opening=Opening(handshake=1),
            timeouts=Timeouts(close=1),
        ) as connections,
    ):
        before = trio.lowlevel.current_statistics().tasks_living
        while seen < 8:
            with trio.move_on_after(random.choice((0, 0.01, 0.5, 1, 3))):
                async for ws in connections:
                    assert await ws.receive() == "hi"
                    seen += 1
                    if random.random() < 0.5:
                        await ws.receive()
        living = trio.lowlevel.current_statistics().tasks_living
    # The last connection's tasks, and the server's for each that has not noticed yet.
    assert living <= before + 8


@pytest.mark.parametrize("after", [0, 0.5, 1.5, 20])
async def test_all_of_it_is_cancelled_and_leaves_nothing(after: float, jumping: trio.testing.MockClock) -> None:
    server = Moody(BUSY)
    async with listening(server) as port:
        before = trio.lowlevel.current_statistics().tasks_living
        with trio.move_on_after(after) as scope:
            async with connect_forever(f"ws://127.0.0.1:{port}/") as connections:
                async for ws in connections:
                    assert [message async for message in ws] == ["never"]
        assert scope.cancelled_caught
        await trio.sleep(1)
        assert trio.lowlevel.current_statistics().tasks_living == before
