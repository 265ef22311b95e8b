"""Clients of the old versions, made by hand: heads, and the frames of version 0."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio
import trio.testing

import wsframe
from tests.hixie76.hixie_peer import CLOSING, text
from tests.hixie76.test_handshake_challenge import EXAMPLES
from tests.wire import KEY, Peer, Stream, head, stream_to

__all__ = ["ALL", "CLOSING", "NONCE", "ORIGIN", "Old", "connected", "draft", "old_connected", "old_head", "text"]

ALL = (13, 8, 7, 0)
ORIGIN = "http://localhost"
KEY1, KEY2, NONCE, ANSWER = EXAMPLES[1]


def draft(version: int, origin: str = ORIGIN) -> dict[str, str]:
    """The fields of a handshake that tell it from another version's."""
    if version == 13:
        return {"Origin": origin}
    return {"Sec-WebSocket-Version": str(version), "Sec-WebSocket-Origin": origin}


def old_head(path: str = "/", fields: Mapping[str, str] = {}) -> bytes:
    """Encode the opening handshake of version 0, without the nonce behind it."""
    wanted = {
        "Host": "localhost", "Upgrade": "WebSocket", "Connection": "Upgrade", "Origin": ORIGIN,
        "Sec-WebSocket-Key1": KEY1, "Sec-WebSocket-Key2": KEY2,
    } | dict(fields)  # fmt: skip
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in wanted.items()), "", ""]
    return "\r\n".join(lines).encode()


class Old:
    """A connected client of version 0."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.answer = b""
        """The head of the server's answer to the handshake."""
        self._data = b""

    async def open(self, *pieces: bytes) -> None:
        """Send a handshake in pieces, and whatever follows it, and read the answer."""
        for piece in pieces:
            await self.stream.send_all(piece)
            await trio.testing.wait_all_tasks_blocked()
        while len(self._data.partition(b"\r\n\r\n")[2]) < 16:
            await self._more()
        self.answer, _, rest = self._data.partition(b"\r\n\r\n")
        assert self.answer.startswith(b"HTTP/1.1 101 "), self.answer
        assert rest[:16] == ANSWER
        self._data = rest[16:]

    async def _more(self) -> None:
        more = await self.stream.receive_some(65536)
        assert more, f"the stream ends inside: {self._data!r}"
        self._data += bytes(more)

    async def send(self, *frames: bytes) -> None:
        await self.stream.send_all(b"".join(frames))

    async def receive(self) -> str:
        """Return the next message."""
        while b"\xff" not in self._data:
            await self._more()
        frame, _, self._data = self._data.partition(b"\xff")
        assert frame[:1] == b"\x00", frame
        return frame[1:].decode()

    async def receive_closing(self) -> None:
        """Read the closing handshake, which must be the next frame and the last."""
        while len(self._data) < 2:
            await self._more()
        assert self._data == CLOSING
        self._data = b""

    async def receive_eof(self) -> None:
        assert (self._data, await self.stream.receive_some()) == (b"", b"")

    async def shut(self) -> None:
        """End TCP, as the kernel does for a program that ends."""
        assert isinstance(self.stream, trio.SocketStream)
        await self.stream.send_eof()


@asynccontextmanager
async def old_connected(server: wsframe.Server, path: str = "/", fields: Mapping[str, str] = {}) -> AsyncIterator[Old]:
    """Connect a client of version 0."""
    async with stream_to(server) as stream:
        peer = Old(stream)
        await peer.open(old_head(path, fields) + NONCE)
        yield peer


@asynccontextmanager
async def connected(server: wsframe.Server, version: int) -> AsyncIterator[Peer]:
    """Connect a client of version 13, 8 or 7."""
    async with stream_to(server) as stream:
        peer = Peer(stream)
        await peer.open(head("/", {"Sec-WebSocket-Key": KEY, **draft(version)}))
        yield peer
