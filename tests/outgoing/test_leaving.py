"""Leaving a connection by Ctrl-C or cancellation: the server gets a close frame, and nothing is waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import trio
import trio.testing

from tests.outgoing.memory import Server, connected, text
from tests.outgoing.places import head_of, listening, upgrading
from tests.wire import BOUND
from wsframe import State, Timeouts, WebSocket, connect, connect_forever

# Nobody waits so long: a wait for the server fails the test.
ENDLESS = Timeouts(close=1e6, ping_interval=None)


class Mute:
    """A server that upgrades and never answers."""

    def __init__(self) -> None:
        self._put, self._get = trio.open_memory_channel[bytes](9)

    async def __call__(self, stream: trio.SocketStream) -> None:
        await stream.send_all(upgrading()(await head_of(stream)))
        data = b""
        try:
            async for piece in stream:
                data += piece
        finally:
            self._put.send_nowait(data)

    async def close_code(self) -> int:
        """Return the code of the only frame that came before the end."""
        data = await self._get.receive()
        assert data[:2] == b"\x88\x82"
        return int.from_bytes(bytes(byte ^ key for byte, key in zip(data[6:], data[2:6], strict=False)), "big")


@asynccontextmanager
async def once(url: str) -> AsyncIterator[WebSocket]:
    async with connect(url, timeouts=ENDLESS) as ws:
        yield ws


@asynccontextmanager
async def forever(url: str) -> AsyncIterator[WebSocket]:
    async with connect_forever(url, timeouts=ENDLESS) as connections:
        yield await anext(connections)


Way = Callable[[str], AbstractAsyncContextManager[WebSocket]]
WAYS = pytest.mark.parametrize("way", [once, forever])


class Foreign(BaseException):
    """As a panic of an extension in Rust arrives."""


@WAYS
@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        SystemExit(3),
        GeneratorExit(),
        Foreign(),
        BaseExceptionGroup("tasks", [KeyboardInterrupt(), ValueError()]),
    ],
    ids=repr,
)
async def test_what_must_end_the_program_does_not_wait_for_a_mute_server(way: Way, error: BaseException) -> None:
    server = Mute()
    with trio.fail_after(BOUND):
        async with listening(server) as port:
            with pytest.raises(type(error)) as caught:
                async with way(f"ws://127.0.0.1:{port}/") as ws:
                    raise error
            assert await server.close_code() == 1001
    assert caught.value is error
    assert ws.state is State.CLOSED


@WAYS
async def test_cancellation_does_not_wait_for_a_mute_server(way: Way) -> None:
    server = Mute()
    with trio.fail_after(BOUND):
        async with listening(server) as port:
            with trio.CancelScope() as scope:
                async with way(f"ws://127.0.0.1:{port}/") as ws:
                    scope.cancel()
                    await ws.receive()
            assert await server.close_code() == 1001
    assert scope.cancelled_caught
    assert ws.state is State.CLOSED


@WAYS
async def test_an_error_closes_in_order(way: Way) -> None:
    """It is no hurry: the server has its time."""

    async def polite(stream: trio.SocketStream) -> None:
        await stream.send_all(upgrading()(await head_of(stream)))
        await stream.receive_some()
        await stream.send_all(b"\x88\x00")

    with trio.fail_after(BOUND):
        async with listening(polite) as port:
            with pytest.raises(KeyError):
                async with way(f"ws://127.0.0.1:{port}/") as ws:
                    raise KeyError
    assert ws.closed_cleanly


class Protected(Server):
    """Notes whether Ctrl-C could be raised where it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.protected: list[bool] = []

    def recv_into(self, view: memoryview, most: int = 0) -> int:
        self.protected.append(trio.lowlevel.currently_ki_protected())
        return super().recv_into(view, most)


async def test_ctrl_c_is_not_raised_in_tasks_of_the_connection(autojump_clock: trio.testing.MockClock) -> None:
    """Else it would come out of the connection's own nursery, in a group; trio raises it in the main task."""
    server = Protected()
    async with connected(server):
        await trio.sleep(1)
        server.feed(text("read by the stand-in"))
        await trio.sleep(1)
        assert server.protected
        assert all(server.protected)
