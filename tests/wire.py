"""The raw peer of the tests: a client made by hand, which sends right and wrong bytes, and reads HTTP answers."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, Unpack

import trio

import wsframe
from tests import client_frames
from tests.client_frames import MASK
from tests.patience import PATIENCE
from tests.resets import reset

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN, RSV1 = 0x80, 0x40

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""The key of RFC 6455, section 1.3."""
HANDSHAKE = {
    "Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13",
}  # fmt: skip

Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]

# No test may hang; none should come near it.
BOUND = PATIENCE


class Frame(NamedTuple):
    """One frame from the server."""

    opcode: int
    payload: bytes
    fin: bool = True
    reserved: int = 0
    """The reserved bits, as they are in the first byte."""

    @property
    def code(self) -> int | None:
        """The code of a close frame."""
        assert self.opcode == CLOSE, self
        return int.from_bytes(self.payload[:2], "big") if self.payload else None


def frame(
    opcode: int,
    payload: bytes | str = b"",
    *,
    fin: bool = True,
    mask: bytes | None = MASK,
    first: int = 0,
    length: int | None = None,
) -> bytes:
    """Make a frame as a client does.

    Args:
        opcode: Any of the sixteen.
        payload: Its payload; text is encoded.
        fin: Whether it ends a message.
        mask: The masking key; None leaves the frame unmasked.
        first: More bits for the first byte: the reserved ones.
        length: The length declared, if it is not that of the payload.
    """
    wire_bytes = payload.encode() if isinstance(payload, str) else payload
    return client_frames.frame(opcode | first | 0x80 * fin, wire_bytes, mask=mask, length=length)


def text(message: str) -> bytes:
    return frame(TEXT, message.encode())


def close_payload(code: int, reason: str = "") -> bytes:
    return code.to_bytes(2, "big") + reason.encode()


def close(code: int | None = 1000, reason: str = "") -> bytes:
    return frame(CLOSE, b"" if code is None else close_payload(code, reason))


def upgrade(
    path: str = "/",
    *,
    start: str = "GET {} HTTP/1.1",
    changes: Mapping[str, str | None] = {},
    **more_changes: str | None,
) -> bytes:
    """Make the request of an opening handshake.

    Args:
        path: The target.
        start: The start line.
        changes: Other values of fields, with ``_`` for ``-``; None leaves one out, and the key with that of Upgrade.
        more_changes: The same.
    """
    fields: dict[str, tuple[str, str | None]] = {name.lower(): (name, value) for name, value in HANDSHAKE.items()}
    given = {name.replace("_", "-"): value for name, value in (*changes.items(), *more_changes.items())}
    changed = {name.lower(): (name, value) for name, value in given.items()}
    if changed.get("upgrade", ("", ""))[1] is None:  # a key would show that a proxy has dropped the field
        del fields["sec-websocket-key"], fields["sec-websocket-version"]
    fields |= changed
    lines = [start.format(path), *(f"{name}: {value}" for name, value in fields.values() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode()


def head(path: str, fields: Mapping[str, str] = {}) -> bytes:
    """Make a valid opening handshake; ``fields`` replace or add header fields."""
    return upgrade(path, changes=fields)


def decode(data: bytes) -> list[Frame]:
    """Decode whole server frames; fails unless the bytes end at a frame boundary."""
    frames: list[Frame] = []
    at = 0
    while at < len(data):
        found = frame_at(data, at)
        assert found is not None, f"bytes end inside a frame: {data[at : at + 20]!r}"
        one, at = found
        frames.append(one)
    return frames


def frame_at(data: bytes | bytearray, at: int = 0) -> tuple[Frame, int] | None:
    """Decode the frame that begins at a place, and return the place after it; None while it is incomplete."""
    if len(data) < at + 2:
        return None
    first, length = data[at : at + 2]
    assert not length & 0x80, "a server frame is masked"
    start = at + 2
    if length >= 126:
        size = 2 if length == 126 else 8
        start, length = start + size, int.from_bytes(data[start : start + size], "big")
    if len(data) < start + length:
        return None
    return Frame(first & 0x0F, bytes(data[start : start + length]), bool(first & FIN), first & 0x70), start + length


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


class Peer:
    """One connection to the server, plain or TLS, by TCP or a unix socket."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.handshake = b""
        """The head of the server's answer to the handshake."""
        self.received = bytearray()
        """The bytes that have come and are in no frame or head yet."""
        address = self.socket.getsockname()
        self.name = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "unix peer"
        """This peer's name in the server's log."""
        self.rest = Rest(self)

    @property
    def socket(self) -> trio.socket.SocketType:
        """The socket below."""
        return self.stream.socket if isinstance(self.stream, trio.SocketStream) else self.stream.transport_stream.socket

    @property
    def port(self) -> int:
        """The port the server knows this client by."""
        return int(self.name.rpartition(":")[2])

    # Sending

    async def send(self, *pieces: bytes) -> None:
        """Send bytes as they are, all in one piece."""
        await self.stream.send_all(b"".join(pieces))

    async def text(self, *messages: str) -> None:
        """Send text messages, all in one piece."""
        await self.send(*(frame(TEXT, message) for message in messages))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame."""
        await self.send(close(code, reason))

    async def upgrade(self, path: str = "/", **changes: str | None) -> Answer:
        """Send an opening handshake and read the head of its answer."""
        await self.send(upgrade(path, changes={name.replace("_", "-"): value for name, value in changes.items()}))
        return await self.head()

    async def open(self, request: bytes) -> None:
        """Send a handshake, and whatever follows it, and read the 101."""
        await self.send(request)
        assert (await self.head()).status == 101, self.handshake

    def half_close(self) -> None:
        """Send FIN, and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End TCP with a reset, as a host does whose program was killed with data unread."""
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
        self.handshake, _, rest = bytes(self.received).partition(b"\r\n\r\n")
        self.received[:] = rest
        start, *lines = self.handshake.decode("latin-1").split("\r\n")
        fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return Answer(int(start.split(" ")[1]), fields, b"")

    async def answer(self) -> Answer:
        """Read a whole HTTP answer, up to EOF."""
        head = await self.head()
        while await self.more():
            pass
        return Answer(head.status, head.fields, bytes(self.received))

    async def receive(self) -> Frame | None:
        """Return the next frame; None at EOF. Bytes that are no server's frame fail the test."""
        while (found := frame_at(self.received)) is None:
            if not await self.more():
                assert not self.received, f"EOF within a frame: {bytes(self.received[:20])!r}"
                return None
        one, end = found
        agreed = RSV1 if b"permessage-deflate" in self.handshake else 0
        assert not one.reserved & ~agreed, f"reserved bits: {one.reserved:#x}"
        assert one.opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG), f"opcode {one.opcode:#x}"
        del self.received[:end]
        return one

    async def receive_text(self) -> str:
        """Return the next frame, which must be a whole text message."""
        one = await self.receive()
        assert one is not None
        assert (one.opcode, one.fin) == (TEXT, True)
        return one.payload.decode()

    async def receive_message(self) -> bytes:
        """Return the payload of the next frame, which must be a whole message that is not compressed."""
        one = await self.receive()
        assert one is not None
        assert (one.opcode in (TEXT, BINARY), one.fin, one.reserved) == (True, True, 0), one
        return one.payload

    async def receive_close(self) -> tuple[int | None, str]:
        """Return code and reason of the next frame, which must be a close frame and the last."""
        one = await self.receive()
        assert one is not None, "the stream ended without a close frame"
        assert not self.received, f"something follows the close frame: {bytes(self.received)!r}"
        return one.code, one.payload[2:].decode()

    async def message(self) -> str:
        """Read the next text message of one frame, past control frames."""
        while True:
            found = await self.receive()
            assert found is not None, "EOF instead of a message"
            assert found.opcode != CLOSE, f"closed {found.code} instead of a message"
            if found.opcode == TEXT:
                return found.payload.decode()

    async def messages(self, count: int) -> list[str]:
        """Read so many text messages."""
        return [await self.message() for _ in range(count)]

    async def finish(self, code: int = 1000) -> None:
        """Close in order: our close frame, the server's, the end of TCP."""
        await self.close(code)
        assert (await self.receive_close())[0] == code
        assert await self.receive() is None

    async def end(self) -> str:
        """Read up to the end and tell how it came: ``fin`` or ``reset``."""
        try:
            while await self.more():
                pass
        except trio.BrokenResourceError:
            return "reset"
        return "fin"


class Rest:
    """The frames that are left to a peer, read to their end."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def until_close(self) -> tuple[list[str], int | None]:
        """Read up to the close frame; return the text messages before it and its code."""
        before: list[str] = []
        while True:
            found = await self._peer.receive()
            assert found is not None, f"EOF without a close frame, after {before}"
            if found.opcode == CLOSE:
                return before, found.code
            if found.opcode == TEXT:
                before.append(found.payload.decode())

    async def frames(self, *, or_reset: bool = False) -> list[Frame]:
        """Return all frames until the stream ends in order; with ``or_reset`` a reset is an end too."""
        frames = []
        with suppress(*((trio.BrokenResourceError,) if or_reset else ())):
            while (one := await self._peer.receive()) is not None:
                frames.append(one)
        return frames


def port_of(server: wsframe.Server) -> int:
    return int(server.addresses[0].rpartition(":")[2])


@asynccontextmanager
async def stream_to(server: wsframe.Server, *, window: int | None = None) -> AsyncIterator[trio.SocketStream]:
    """Connect by TCP, with a receive buffer of ``window`` bytes for a peer that is to be slow."""
    sock = trio.socket.socket()
    if window is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    await sock.connect(("127.0.0.1", port_of(server)))
    with sock:
        yield trio.SocketStream(sock)


@asynccontextmanager
async def connected(
    server: wsframe.Server,
    path: str = "/",
    fields: Mapping[str, str] = {},
    *,
    trailing: bytes = b"",
    window: int | None = None,
) -> AsyncIterator[Peer]:
    """Connect a client; ``trailing`` travels in the same segment as its handshake."""
    async with stream_to(server, window=window) as stream:
        peer = Peer(stream)
        await peer.open(head(path, fields) + trailing)
        yield peer


async def ask(server: wsframe.Server, request: bytes) -> bytes:
    """Send bytes and return all the server answers until it ends the connection."""
    async with stream_to(server) as stream:
        await stream.send_all(request)
        answer = b""
        while more := await stream.receive_some():
            answer += bytes(more)
        return answer


async def status(server: wsframe.Server, path: str = "/", fields: Mapping[str, str] = {}) -> int:
    """Return the HTTP status of the refusal a newcomer gets."""
    answer = await ask(server, head(path, fields))
    return int(answer.split(b" ", 2)[1])


@asynccontextmanager
async def serving(
    resources: wsframe.Resource | Mapping[str, wsframe.Resource], **options: Unpack[wsframe.ServeKeywords]
) -> AsyncIterator[wsframe.Server]:
    """Serve one resource at ``/``, or several, for a bounded time."""
    registry = wsframe.Registry()
    for path, resource in ({"/": resources} if isinstance(resources, wsframe.Resource) else resources).items():
        registry.register(path, resource)
    options.setdefault("port", 0)
    with trio.fail_after(BOUND):
        async with wsframe.open_server(registry, **options) as server:
            yield server


async def until(condition: Callable[[], object]) -> None:
    """Wait for a change that nothing announces, such as a number in a server's statistics."""
    while not condition():  # noqa: ASYNC110
        await trio.sleep(0.002)
