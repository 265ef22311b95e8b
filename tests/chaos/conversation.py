"""A correct WebSocket client over a peer: wsproto's engine, which checks all that it is sent."""

from random import Random
from typing import NoReturn

import trio
from wsproto.connection import CLIENT, ConnectionState
from wsproto.connection import Connection as Engine
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.extensions import Extension, PerMessageDeflate
from wsproto.frame_protocol import CloseReason

from tests.chaos.rough import Rough
from tests.wire import KEY

__all__ = ["Conversation", "Fault", "Refused", "request_head"]

ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
LETTERS = "abcdefghij klmnopqrst uvwxyz äöü 漢字 😀"


class Fault(Exception):
    """The server broke a rule."""


class Refused(Exception):
    """The server answered with an HTTP error."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def request_head(path: str, name: str, *, deflate: bool = False) -> bytes:
    """Make a client's request."""
    lines = [
        f"GET {path}?name={name} HTTP/1.1",
        "Host: localhost",
        "Connection: keep-alive, Upgrade",
        "Upgrade: websocket",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
    ]
    if deflate:
        lines.append("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
    return "\r\n".join([*lines, "", ""]).encode()


class Conversation:
    """One well-behaved client. Whatever the server does wrong raises :exc:`Fault` or a wsproto error."""

    def __init__(self, peer: Rough, name: str) -> None:
        self.peer = peer
        self.name = name
        self.sent = 0
        self.received = 0
        self.pongs: list[bytes] = []
        self.on_pong: trio.Event | None = None
        self._engine = Engine(CLIENT)
        self._events: list[Event] = []
        self._parts: list[str | bytes] = []
        self._closed = False

    async def open(self, path: str, *, deflate: bool = False, early: bytes = b"") -> None:
        """Shake hands; ``early`` is sent with the request."""
        await self.peer.send_head(request_head(path, self.name, deflate=deflate) + early)
        data = b""
        while b"\r\n\r\n" not in data:
            more = await self.peer.receive()
            if not more:
                raise Fault(f"the connection ended in the answer: {data!r}")
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        status, *lines = head.decode("ascii").split("\r\n")
        if not status.startswith("HTTP/1.1 101 "):
            raise Refused(int(status.split()[1]))
        fields = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines)}
        if fields.get("sec-websocket-accept") != ACCEPT:
            raise Fault(f"wrong accept key in {head!r}")
        self._engine = Engine(CLIENT, self._agreed(fields.get("sec-websocket-extensions"), offered=deflate), rest)

    def _agreed(self, answer: str | None, *, offered: bool) -> list[Extension]:
        if answer is None:
            return []
        if not offered:
            raise Fault(f"extension {answer!r} was not offered")
        extension = PerMessageDeflate()
        extension.finalize(answer)
        return [extension]

    async def send(self, *messages: str | bytes, close: int | None = None, fragments: int = 1) -> None:
        """Send messages in one piece, and with ``close`` a close frame behind them."""
        data = b""
        for message in messages:
            size = max(1, -(-len(message) // fragments))
            parts = [message[at : at + size] for at in range(0, len(message), size)] or [message]
            for at, part in enumerate(parts):
                last = at == len(parts) - 1
                data += self._engine.send(
                    TextMessage(data=part, message_finished=last)
                    if isinstance(part, str)
                    else BytesMessage(data=part, message_finished=last)
                )
        self.sent += len(messages)
        if close is not None:
            data += self._engine.send(CloseConnection(code=close, reason="done"))
        await self.peer.send(data)

    async def ping(self, payload: bytes) -> None:
        await self.peer.send(self._engine.send(Ping(payload)))

    async def receive(self) -> str | bytes | CloseConnection:
        """Return the next message or the server's close frame; pings are answered on the way."""
        while True:
            while self._events:
                event = self._events.pop(0)
                found = await self._take(event)
                if found is not None:
                    return found
            self._events = list(self._engine.events())
            if not self._events:
                data = await self.peer.receive()
                if not data:
                    raise Fault("the connection ended without a close frame")
                self._engine.receive_data(data)

    async def _take(self, event: Event) -> str | bytes | CloseConnection | None:
        if isinstance(event, Ping):
            if self._engine.state is ConnectionState.OPEN and not self.peer.shut:
                await self.peer.send(self._engine.send(event.response()))
        elif isinstance(event, Pong):
            self.pongs.append(bytes(event.payload))
            if self.on_pong is not None:
                self.on_pong.set()
        elif isinstance(event, CloseConnection):
            if event.code in (CloseReason.PROTOCOL_ERROR, CloseReason.INVALID_FRAME_PAYLOAD_DATA):
                raise Fault(f"the server was taken to break the protocol, or said so: {event}")
            if self._engine.state is ConnectionState.REMOTE_CLOSING:
                await self.peer.send(self._engine.send(event.response()))
            return event
        elif isinstance(event, TextMessage | BytesMessage):
            self._parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
            if event.message_finished:
                parts, self._parts = self._parts, []
                self.received += 1
                return "".join(map(str, parts)) if isinstance(event, TextMessage) else b"".join(map(as_bytes, parts))
        return None

    async def expect(self, *messages: str | bytes) -> None:
        """Receive exactly these messages, in this order."""
        for at, wanted in enumerate(messages):
            got = await self.receive()
            if got != wanted:
                self.differ(at, len(messages), wanted, got)

    def differ(self, at: int, count: int, wanted: object, got: object) -> NoReturn:
        raise Fault(f"message {at} of {count} should be {wanted!r:.60}, is {got!r:.160}")

    async def expect_close(self, code: int, *, eof: bool = True) -> None:
        """Receive the server's close frame with this code, and then nothing but the end."""
        got = await self.receive()
        if not isinstance(got, CloseConnection) or got.code != code:
            raise Fault(f"close frame {code} expected, got {got!r:.160}")
        if self._events or list(self._engine.events()):
            raise Fault("something follows the close frame")
        self.peer.half_close()
        if eof and (rest := await self.peer.receive()):
            raise Fault(f"bytes follow the close frame: {rest!r:.80}")

    async def echo(self, *messages: str | bytes, close: int | None = None, fragments: int = 1) -> None:
        """Send messages, read meanwhile, and check that all come back in order."""
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                await self.send(*messages, close=close, fragments=fragments)

            nursery.start_soon(send)
            await self.expect(*messages)
            if close is not None:
                await self.expect_close(close)


def as_bytes(part: str | bytes) -> bytes:
    return part.encode() if isinstance(part, str) else part


def some_messages(random: Random, count: int, byte_count: int) -> list[str | bytes]:
    """Make up to ``count`` messages of at most ``byte_count`` in all."""
    messages: list[str | bytes] = []
    for _ in range(count):
        size = min(random.choice((0, 1, 5, 20, 125, 126, 127, 300, 1500, 6000)), byte_count)
        byte_count -= size
        if random.random() < 0.5:
            messages.append(random.randbytes(size))
        else:
            messages.append("".join(random.choices(LETTERS, k=size // 4)))
    return messages
