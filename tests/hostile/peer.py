"""A WebSocket client made by hand, which sends right and wrong bytes, and reads HTTP answers.

It stays apart from ``tests.wire``, whose peer has one plain TCP stream and a 101 behind it: this one also has TLS and
unix sockets, and refusals with their fields and bodies. Frames and their decoder are the same.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import trio

from tests import client_frames
from tests.client_frames import MASK
from tests.resets import reset
from tests.wire import BINARY, CLOSE, CONTINUATION, KEY, PING, PONG, TEXT, Frame, split_frame

__all__ = ["BINARY", "CLOSE", "CONTINUATION", "PING", "PONG", "TEXT", "Answer", "Frame", "Peer", "frame", "upgrade"]


Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


def frame(
    opcode: int, payload: bytes | str = b"", *, fin: bool = True, mask: bytes = MASK, first: int = 0, length: int = -1
) -> bytes:
    """Make a frame as a client does.

    Args:
        opcode: Any of the sixteen.
        payload: Its payload; text is encoded.
        fin: Whether it ends a message.
        mask: The masking key; empty leaves the frame unmasked.
        first: More bits for the first byte: the reserved ones.
        length: The length declared, if it is not that of the payload.
    """
    wire_bytes = payload.encode() if isinstance(payload, str) else payload
    return client_frames.frame(
        opcode | first | 0x80 * fin, wire_bytes, mask=mask or None, length=None if length < 0 else length
    )


def close_payload(code: int, reason: str = "") -> bytes:
    return struct.pack("!H", code) + reason.encode()


def upgrade(
    path: str = "/",
    *,
    start: str = "GET {} HTTP/1.1",
    changes: Mapping[str, str | None] | None = None,
    **more_changes: str | None,
) -> bytes:
    """Make the request of an opening handshake.

    Args:
        path: The target.
        start: The start line.
        changes: Other values of fields, ``_`` for ``-``; None leaves a field out, and the key with that of Upgrade.
        more_changes: Likewise.
    """
    fields: dict[str, str | None] = {
        "host": "localhost",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-key": KEY,
        "sec-websocket-version": "13",
    }
    given = {name.replace("_", "-"): value for name, value in {**(changes or {}), **more_changes}.items()}
    if "upgrade" in given and given["upgrade"] is None:  # a key would show that a proxy has dropped it
        fields |= {"sec-websocket-key": None, "sec-websocket-version": None}
    fields |= given
    lines = [start.format(path), *(f"{name}: {value}" for name, value in fields.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode()


class Peer:
    """One connection to the server, plain or TLS."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.received = bytearray()
        address = self.socket.getsockname()
        self.name = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "unix peer"
        """This peer's name in the server's log."""

    @property
    def socket(self) -> trio.socket.SocketType:
        """The socket below."""
        return self.stream.socket if isinstance(self.stream, trio.SocketStream) else self.stream.transport_stream.socket

    # Sending

    async def send(self, *pieces: bytes) -> None:
        """Send bytes as they are, all in one piece."""
        await self.stream.send_all(b"".join(pieces))

    async def text(self, *messages: str) -> None:
        """Send text messages, all in one piece."""
        await self.send(*(frame(TEXT, message) for message in messages))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame."""
        await self.send(frame(CLOSE, close_payload(code, reason)))

    async def upgrade(self, path: str = "/", **changes: str | None) -> Answer:
        """Send an opening handshake and read the head of its answer."""
        await self.send(upgrade(path, changes=changes))
        return await self.head()

    def half_close(self) -> None:
        """Send FIN, and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Send RST."""
        if self.socket.fileno() != -1:
            reset(self.socket)

    def hang_up(self) -> None:
        """Close without a word."""
        self.socket.close()

    # Receiving

    async def more(self) -> bool:
        """Read once; return False at EOF."""
        data = await self.stream.receive_some(65536)
        self.received += data
        return bool(data)

    async def head(self) -> Answer:
        """Read the head of an HTTP answer."""
        while b"\r\n\r\n" not in self.received:
            assert await self.more(), f"EOF within the head: {bytes(self.received)!r}"
        raw, _, rest = bytes(self.received).partition(b"\r\n\r\n")
        self.received[:] = rest
        start, *lines = raw.decode("latin-1").split("\r\n")
        fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return Answer(int(start.split(" ")[1]), fields, b"")

    async def answer(self) -> Answer:
        """Read a whole HTTP answer, up to EOF."""
        head = await self.head()
        while await self.more():
            pass
        return Answer(head.status, head.fields, bytes(self.received))

    async def frame(self) -> Frame | None:
        """Read the next frame; None at EOF. Anything that is no server's frame fails the test."""
        while True:
            found = self._take_frame()
            if found is not None:
                return found
            if not await self.more():
                assert not self.received, f"EOF within a frame: {bytes(self.received[:20])!r}"
                return None

    def _take_frame(self) -> Frame | None:
        found = split_frame(self.received)
        if found is None:
            return None
        one, rest = found
        assert not one.reserved, f"reserved bits: {one.reserved:#x}"
        assert one.opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG), f"opcode {one.opcode:#x}"
        self.received[:] = rest
        return one

    async def message(self) -> str:
        """Read the next text message of one frame, past control frames."""
        while True:
            found = await self.frame()
            assert found is not None, "EOF instead of a message"
            assert found.opcode != CLOSE, f"closed {found.code} instead of a message"
            if found.opcode == TEXT:
                return found.payload.decode()

    async def messages(self, count: int) -> list[str]:
        """Read so many text messages."""
        return [await self.message() for _ in range(count)]

    async def closing(self) -> tuple[list[str], int | None]:
        """Read up to the close frame; return the text messages before it and its code."""
        before: list[str] = []
        while True:
            found = await self.frame()
            assert found is not None, f"EOF without a close frame, after {before}"
            if found.opcode == CLOSE:
                return before, found.code
            if found.opcode == TEXT:
                before.append(found.payload.decode())

    async def end(self) -> str:
        """Read up to the end and tell how it came: ``fin`` or ``reset``."""
        try:
            while await self.more():
                pass
        except trio.BrokenResourceError:
            return "reset"
        return "fin"
