"""A conversation with a server: send the input and show the answers until either side ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from math import inf
from typing import NamedTuple, TypeAlias

import trio

from wsframe.outgoing.exceptions import ConnectionClosed
from wsframe.outgoing.websocket import WebSocket

__all__ = ["Binary", "Close", "Display", "Ping", "Saying", "Sayings", "Text", "talk"]


class Text(str):
    """A text message to send."""


class Binary(bytes):
    """A binary message to send."""


class Ping(bytes):
    """A ping to send; the display shows its latency."""


class Close(NamedTuple):
    """A close frame to send."""

    code: int
    reason: str


Saying: TypeAlias = Text | Binary | Ping | Close
Sayings: TypeAlias = AsyncGenerator[Saying, None]


class Display(ABC):
    """Shows the events of a connection."""

    @abstractmethod
    def opened(self, websocket: WebSocket) -> None:
        """Show that the connection is open."""

    @abstractmethod
    def message(self, message: str | bytes) -> None:
        """Show a message from the server."""

    @abstractmethod
    def pong(self, latency: float) -> None:
        """Show the answer to one of our pings, with the seconds it took."""

    @abstractmethod
    def closed(self, closed: ConnectionClosed) -> None:
        """Show how the connection ended."""


async def talk(websocket: WebSocket, sayings: Sayings, display: Display, *, wait: float | None) -> bool:
    """Send and show until either side ends; return whether the end was in order.

    Args:
        websocket: The connection.
        sayings: The messages and frames to send; after the last one the connection closes.
        display: Shows the messages that arrive.
        wait: Seconds of silence between the last saying and the close; None waits for the server.
    """
    display.opened(websocket)
    ends: list[ConnectionClosed] = []
    async with trio.open_nursery() as nursery:
        silence = Silence()
        nursery.start_soon(hear, websocket, display, silence, ends, nursery.cancel_scope)
        with suppress(ConnectionClosed):  # hear() gets this exception too
            if await say_all(websocket, sayings, display, nursery):
                await silence.lasting(wait)
            await websocket.close()
    (end,) = ends
    display.closed(end)
    return end.orderly


class Silence:
    """Ends when no message has arrived for some time."""

    def __init__(self) -> None:
        self._scope = trio.CancelScope()
        self._seconds = inf

    def broken(self) -> None:
        """Record that a message has arrived."""
        self._scope.deadline = trio.current_time() + self._seconds

    async def lasting(self, seconds: float | None) -> None:
        """Wait until no message has arrived for ``seconds``; for ever if that is None."""
        with self._scope:
            if seconds is not None:
                self._seconds = seconds
                self.broken()
            await trio.sleep_forever()


async def hear(
    websocket: WebSocket, display: Display, silence: Silence, ends: list[ConnectionClosed], scope: trio.CancelScope
) -> None:
    """Show messages until the connection ends, then stop the other tasks."""
    try:
        while True:
            message = await websocket.receive()
            silence.broken()
            display.message(message)
    except ConnectionClosed as closed:
        ends.append(closed)
        scope.cancel()


async def say_all(websocket: WebSocket, sayings: Sayings, display: Display, nursery: trio.Nursery) -> bool:
    """Send all sayings; return whether to wait for answers, which a close frame does not have."""
    async with aclosing(sayings):
        async for saying in sayings:
            if isinstance(saying, Text):
                await websocket.send_text(saying)
            elif isinstance(saying, Binary):
                await websocket.send_binary(saying)
            elif isinstance(saying, Ping):
                nursery.start_soon(ping, websocket, saying, display)
            else:
                await websocket.close(saying.code, saying.reason)
                return False
    return True


async def ping(websocket: WebSocket, payload: bytes, display: Display) -> None:
    with suppress(ConnectionClosed):  # hear() gets this exception too
        display.pong(await websocket.ping(payload or None))
