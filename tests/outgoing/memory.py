"""A server in memory: a transport whose kernel takes as much as a test says, and breaks when it says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
import trio.testing
from wsproto.connection import SERVER
from wsproto.connection import Connection as Engine
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage

from tests.protocol import peer
from wsframe.http.client_handshake import Upgraded
from wsframe.http.request import Headers
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, Timeouts, filled
from wsframe.net.transport import Transport
from wsframe.outgoing.link import RECEIVE_BUFFER, OutgoingLink
from wsframe.outgoing.opening import Opened
from wsframe.outgoing.url import Target
from wsframe.outgoing.websocket import WebSocket
from wsframe.protocol.close import State
from wsframe.protocol.decoder import Decoder

__all__ = ["Ciphered", "Server", "close", "connected", "settled", "state", "text"]

NO_HEADERS = Headers([])
CODEC = 1000
ASKED_TOO_OFTEN = 100


def text(message: str) -> bytes:
    """Make a server's text frame."""
    return peer.frame(peer.TEXT, message.encode(), mask=None)


def close(code: int | None = 1000, reason: str = "") -> bytes:
    """Make a server's close frame."""
    return peer.frame(peer.CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason.encode(), mask=None)


async def settled() -> None:
    """Wait until every task waits."""
    await trio.testing.wait_all_tasks_blocked()


def state(ws: WebSocket) -> State:
    """Ask anew: a type checker takes a property for a constant."""
    return ws.state


class Server(Transport):
    """The object that a link takes for a socket, seen from the server.

    Args:
        window: Bytes the kernel takes; None for all.
        bite: Bytes it takes in one call at most.
    """

    def __init__(self, window: int | None = None, bite: int = 2**60) -> None:
        self.window = 2**60 if window is None else window
        self.bite = bite
        self.taken = bytearray()
        """The bytes that the kernel has taken."""
        self.broken = False
        self.closed_by_reset: bool | None = None
        self.unacknowledged: int | None = None
        self._incoming = bytearray()
        self._eof = False
        self.heard = False
        self._changed = trio.lowlevel.ParkingLot()

    # Actions of a test

    def feed(self, *frames: bytes) -> None:
        """Let bytes arrive."""
        self._incoming += b"".join(frames)
        self._changed.unpark_all()

    def end(self) -> None:
        """End TCP."""
        self._eof = True
        self._changed.unpark_all()

    def take(self, size: int) -> None:
        """Let the kernel take so many more."""
        self.window += size
        self._changed.unpark_all()

    def break_down(self) -> None:
        """Reset the connection."""
        self.broken = True
        self._changed.unpark_all()

    @property
    def unread(self) -> int:
        """Bytes that have arrived and were not read."""
        return len(self._incoming)

    def events(self) -> list[Event]:
        """Return wsproto's events of the bytes sent; they must all be frames."""
        return list(Engine(SERVER, [], bytes(self.taken)).events())

    def received(self) -> list[object]:
        """Return messages, ``("ping", bytes)``, ``("pong", bytes)`` and ``("close", code)`` as sent."""
        found: list[object] = []
        parts: list[str | bytes] = []
        for event in self.events():
            if isinstance(event, TextMessage | BytesMessage):
                parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
                if event.message_finished:
                    found.append(type(parts[0])().join(parts))  # type: ignore[arg-type]
                    parts = []
            elif isinstance(event, Ping | Pong):
                found.append((type(event).__name__.lower(), bytes(event.payload)))
            elif isinstance(event, CloseConnection):
                found.append(("close", int(event.code)))
        return found

    def controls(self, kind: str) -> list[bytes]:
        """Return the payloads of the pings, or pongs, that were sent."""
        return [found[1] for found in self.received() if isinstance(found, tuple) and found[0] == kind]

    # The link's side

    def recv_into(self, view: memoryview, most: int = 0) -> int:
        if self.broken:
            raise ConnectionResetError
        if not self._incoming and not self._eof:
            raise BlockingIOError
        data = self._incoming[: most or len(view)]
        del self._incoming[: most or len(view)]
        view[: len(data)] = data
        return len(data)

    def receive_now(self, most: int = RECEIVE_BUFFER) -> bytes:
        data = bytearray(most)
        return bytes(data[: self.recv_into(memoryview(data))])

    def send(self, data: bytes | memoryview) -> int:
        if self.broken:
            raise BrokenPipeError
        count = min(len(data), self.window, self.bite)
        if not count:
            raise BlockingIOError
        self.taken += bytes(data[:count])
        self.window -= count
        return count

    @property
    def secure(self) -> bool:
        return False

    @property
    def unsent(self) -> bool:
        return False

    def pump(self) -> bool:
        return True

    def drop_unsent(self) -> None:
        pass

    def in_kernel(self) -> int | None:
        return self.unacknowledged

    async def _wait(self) -> None:
        await self._changed.park()
        if self.closed_by_reset is not None:
            raise trio.ClosedResourceError

    async def readable(self) -> None:
        while not (self._incoming or self._eof or self.broken):
            await self._wait()
        await trio.lowlevel.checkpoint()

    async def writable(self) -> None:
        while not (self.window or self.broken):
            await self._wait()
        await trio.lowlevel.checkpoint()

    async def end_and_close(self) -> None:
        await trio.lowlevel.checkpoint()
        self.close()

    def close(self, *, reset: bool = False, eof: bool = False) -> None:
        self.closed_by_reset = reset
        self._changed.unpark_all()


class Ciphered(Server):
    """A server over TLS: a codec stands before the kernel, and takes more than that if it is empty."""

    def __init__(self, window: int | None = None, bite: int = 2**60) -> None:
        super().__init__(window, bite)
        self._ciphertext = bytearray()
        self._asked = 0

    @property
    def secure(self) -> bool:
        return True

    @property
    def unsent(self) -> bool:
        return bool(self._ciphertext)

    def send(self, data: bytes | memoryview) -> int:
        if not self.pump():
            raise BlockingIOError
        count = min(len(data), CODEC)
        self._ciphertext += bytes(data[:count])
        self.pump()
        return count

    def pump(self) -> bool:
        try:
            while self._ciphertext:
                del self._ciphertext[: super().send(bytes(self._ciphertext))]
        except BlockingIOError:
            return False
        return True

    def drop_unsent(self) -> None:
        self._ciphertext.clear()

    async def writable(self) -> None:
        if self.closed_by_reset is not None or self.broken:
            self._asked += 1
            assert self._asked < ASKED_TOO_OFTEN, "it waits for a socket that is gone, again and again"
        if self.closed_by_reset is not None:  # as a transport does: without a checkpoint
            raise trio.ClosedResourceError
        await super().writable()


@dataclass
class Conversation:
    """A connection to a server in memory."""

    ws: WebSocket
    link: OutgoingLink
    server: Server
    nursery: trio.Nursery = field(repr=False)


@asynccontextmanager
async def connected(
    server: Server | None = None, *, limits: Limits | None = None, timeouts: Timeouts | None = None
) -> AsyncIterator[Conversation]:
    """Connect, with the connection's tasks running; nothing is closed at the end."""
    server = server or Server()
    full = filled(limits or Limits(), DEFAULT_LIMITS)
    connection = Decoder(full, filled(timeouts or Timeouts(), DEFAULT_TIMEOUTS), trio.current_time(), masked=False)
    target = Target.parse("ws://server.example/")
    link = OutgoingLink(server, full, connection, str(target))
    opened = Opened(
        transport=server, target=target, request_headers=NO_HEADERS, upgraded=Upgraded(NO_HEADERS, None, None, b"")
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        try:
            yield Conversation(WebSocket(link, opened), link, server, nursery)
        finally:
            link.leaving.abandon()
        nursery.cancel_scope.cancel()
