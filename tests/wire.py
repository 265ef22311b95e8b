"""A WebSocket client made by hand: bytes over a raw TCP stream, for actions of no real client."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple, Unpack

import trio

import wsframe
from tests import client_frames
from tests.resets import reset

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN, RSV1 = 0x80, 0x40

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = b"\x37\xfa\x21\x3d"

# No test may hang; none should come near it.
BOUND = 120.0


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


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """Encode one masked frame."""
    return client_frames.frame(0x80 * fin | opcode, payload, mask=MASK)


def text(message: str) -> bytes:
    return frame(TEXT, message.encode())


def close(code: int | None = 1000, reason: str = "") -> bytes:
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason.encode())


def head(path: str, fields: Mapping[str, str] = {}) -> bytes:
    """Encode a valid opening handshake; ``fields`` replace or add header fields."""
    wanted = {
        "Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13",
    } | dict(fields)  # fmt: skip
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in wanted.items()), "", ""]
    return "\r\n".join(lines).encode()


def decode(data: bytes) -> list[Frame]:
    """Decode whole server frames; fails unless the bytes end at a frame boundary."""
    frames: list[Frame] = []
    while data:
        found = split_frame(data)
        assert found is not None, f"bytes end inside a frame: {data[:20]!r}"
        one, data = found
        frames.append(one)
    return frames


def split_frame(data: bytes | bytearray) -> tuple[Frame, bytes] | None:
    """Take the first frame off; None while it is incomplete."""
    if len(data) < 2:
        return None
    assert not data[1] & 0x80, "a server frame is masked"
    start, length = 2, data[1]
    if length == 126:
        start, length = 4, int.from_bytes(data[2:4], "big")
    elif length == 127:
        start, length = 10, int.from_bytes(data[2:10], "big")
    if len(data) < start + length:
        return None
    one = Frame(data[0] & 0x0F, bytes(data[start : start + length]), bool(data[0] & 0x80), data[0] & 0x70)
    return one, bytes(data[start + length :])


class Peer:
    """A connected client."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.answer = b""
        """The head of the server's answer to the handshake."""
        self._data = b""

    @property
    def port(self) -> int:
        """The port the server knows this client by."""
        name = self.stream.socket.getsockname()
        assert isinstance(name[1], int)
        return name[1]

    async def open(self, request: bytes) -> None:
        """Send a handshake, and whatever follows it, and read the answer."""
        await self.stream.send_all(request)
        assert await self.status() == 101, self.answer

    async def status(self) -> int:
        """Read the head of an answer; return its status."""
        while b"\r\n\r\n" not in self._data:
            more = await self.stream.receive_some()
            assert more, f"the server ended within the head: {self._data!r}"
            self._data += bytes(more)
        self.answer, _, self._data = self._data.partition(b"\r\n\r\n")
        return int(self.answer.split(b" ", 2)[1])

    async def send(self, *frames: bytes) -> None:
        await self.stream.send_all(b"".join(frames))

    async def receive(self) -> Frame | None:
        """Return the next frame; None at the end of the stream."""
        while True:
            found = split_frame(self._data)
            if found is not None:
                one, self._data = found
                return one
            more = await self.stream.receive_some(65536)
            if not more:
                assert not self._data, f"the stream ends inside a frame: {self._data[:20]!r}"
                return None
            self._data += bytes(more)

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
        assert one.opcode == CLOSE, one
        assert not self._data, f"something follows the close frame: {self._data!r}"
        code = int.from_bytes(one.payload[:2], "big") if one.payload else None
        return code, one.payload[2:].decode()

    async def finish(self, code: int = 1000) -> None:
        """Close in order: our close frame, the server's, the end of TCP."""
        await self.send(close(code))
        assert (await self.receive_close())[0] == code
        assert await self.receive() is None

    async def everything(self) -> list[Frame]:
        """Return all frames until the stream ends."""
        frames = []
        while (one := await self.receive()) is not None:
            frames.append(one)
        return frames

    async def frames_left(self) -> list[Frame]:
        """Read to the end, in order or by a reset; return the frames before it."""
        frames = []
        with suppress(trio.BrokenResourceError):
            while (one := await self.receive()) is not None:
                frames.append(one)
        return frames

    async def end(self) -> str:
        """Wait for the end, whatever comes before it: ``"eof"`` or ``"reset"``."""
        try:
            while await self.stream.receive_some(65536):
                pass
        except trio.BrokenResourceError:
            return "reset"
        return "eof"

    def reset(self) -> None:
        """End TCP with a reset, as a host does whose program was killed with data unread."""
        reset(self.stream.socket)


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
    """Wait until something is so, within the test's own bound."""
    while not condition():  # noqa: ASYNC110
        await trio.sleep(0.005)
