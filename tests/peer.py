"""A raw WebSocket client over TCP: frames made octet by octet, replies split but not inflated."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple, Unpack

import trio

import wsframe
from tests import client_frames

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN, RSV1 = 0x80, 0x40

MASK = b"\x12\x34\x56\x78"

# No test comes near it, not even on a busy machine.
BOUND = 120.0


class Frame(NamedTuple):
    """A frame from the server."""

    first: int
    payload: bytes

    @property
    def opcode(self) -> int:
        return self.first & 0x0F

    @property
    def code(self) -> int:
        """The code of a close frame."""
        assert self.opcode == CLOSE, self
        return int.from_bytes(self.payload[:2], "big")


def header(first: int, length: int) -> bytes:
    """Make the header of a masked frame; it may declare what never comes."""
    return client_frames.header(first, length, mask=MASK)


def frame(first: int, payload: bytes = b"") -> bytes:
    """Make a masked frame; ``first`` is its whole first octet."""
    return client_frames.frame(first, payload, mask=MASK)


def text(message: str) -> bytes:
    return frame(FIN | TEXT, message.encode())


def split(data: bytes) -> tuple[Frame, bytes] | None:
    """Take the first frame off; None while it is incomplete."""
    if len(data) < 2:
        return None
    start, length = 2, data[1]
    assert length < 128, "the server's frame is masked"
    if length > 125:
        start = 4 if length == 126 else 10
        length = int.from_bytes(data[2:start], "big")
    if len(data) < start + length:
        return None
    return Frame(data[0], data[start : start + length]), data[start + length :]


def split_all(data: bytes) -> list[Frame]:
    """Split octets that end with a whole frame."""
    frames = []
    while data:
        found = split(data)
        assert found is not None, f"incomplete frame: {data[:20]!r}"
        frames.append(found[0])
        data = found[1]
    return frames


class Peer:
    """A TCP connection to the server."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.head = ""
        """The head of the server's answer."""
        self._data = b""

    async def open(self, path: str = "/", *, offer: str | None = None) -> int:
        """Do the opening handshake; return the status."""
        lines = [
            f"GET {path} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
        ]  # fmt: skip
        lines += [] if offer is None else [f"Sec-WebSocket-Extensions: {offer}"]
        await self.send("\r\n".join([*lines, "", ""]).encode())
        return await self.status()

    async def status(self) -> int:
        """Read the head of an answer; return its status."""
        while b"\r\n\r\n" not in self._data:
            assert await self._more(), f"EOF within the head: {self._data!r}"
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        self.head = head.decode()
        return int(self.head.split(" ")[1])

    async def _more(self) -> bool:
        data = await self.stream.receive_some(65536)
        self._data += data
        return bool(data)

    async def send(self, *pieces: bytes) -> None:
        await self.stream.send_all(b"".join(pieces))

    async def receive(self) -> Frame | None:
        """Read the next frame; None at the end."""
        while (found := split(self._data)) is None:
            if not await self._more():
                return None
        one, self._data = found
        return one

    async def message(self) -> bytes:
        """Read the next frame, which must be a whole message that is not compressed."""
        one = await self.receive()
        assert one is not None
        assert one.first in (FIN | TEXT, FIN | BINARY), one
        return one.payload

    async def ended(self) -> list[Frame]:
        """Read to the end, in order or by a reset; return the frames before it."""
        frames = []
        with suppress(trio.BrokenResourceError):
            while (one := await self.receive()) is not None:
                frames.append(one)
        return frames

    async def close(self) -> None:
        """End in order: our close frame, the server's, the end of TCP."""
        await self.close_only()
        assert [one.opcode for one in await self.ended()][-1:] == [CLOSE]
        self.stream.socket.close()

    async def close_only(self, code: int = 1000) -> None:
        """Send a close frame."""
        await self.send(frame(FIN | CLOSE, code.to_bytes(2, "big")))

    def reset(self) -> None:
        """End by a reset."""
        self.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.socket.close()


@asynccontextmanager
async def tcp(server: wsframe.Server, *, window: int | None = None) -> AsyncIterator[Peer]:
    """Connect by TCP alone; a small ``window`` makes a peer that is slow notice it soon."""
    sock = trio.socket.socket()
    if window is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    with sock:
        await sock.connect(("127.0.0.1", int(server.addresses[0].rpartition(":")[2])))
        yield Peer(trio.SocketStream(sock))


@asynccontextmanager
async def connected(
    server: wsframe.Server, path: str = "/", *, offer: str | None = None, window: int | None = None
) -> AsyncIterator[Peer]:
    """Connect a client."""
    async with tcp(server, window=window) as peer:
        assert await peer.open(path, offer=offer) == 101, peer.head
        yield peer


@asynccontextmanager
async def serving(
    resource: wsframe.Resource, **options: Unpack[wsframe.ServeKeywords]
) -> AsyncIterator[wsframe.Server]:
    """Serve a resource at ``/``, for a bounded time."""
    registry = wsframe.Registry()
    registry.register("/", resource)
    options.setdefault("port", 0)
    with trio.fail_after(BOUND):
        async with wsframe.open_server(registry, **options) as server:
            yield server


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so, within the test's own bound."""
    while not condition():  # noqa: ASYNC110
        await trio.sleep(0.005)
