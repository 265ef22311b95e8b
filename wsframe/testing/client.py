"""An in-memory WebSocket client, polite by default."""

from __future__ import annotations

import json
from collections import deque
from math import inf
from typing import Any, Literal, NamedTuple, cast

import trio

from wsframe.protocol.payload import BINARY_TYPES, bytes_of, encode
from wsframe.testing.frames import BINARY, CLOSE, PING, PONG, TEXT, Compression, Frame, Reader, masked
from wsframe.testing.handshake import Answer, Exchange, check_101
from wsframe.testing.memory_sockets import MemorySocket
from wsframe.testing.raw_client import Line

__all__ = ["ClientClosed", "Closed", "MemoryClient"]

END_OF_HEAD = b"\r\n\r\n"
NO_CODE = 1005
NO_CLOSE_FRAME = 1006


class Closed(NamedTuple):
    """How the server closed a connection."""

    code: int
    """The code of the close frame; 1005 if it had no code, 1006 if there was no close frame."""
    reason: str
    """The reason of the close frame."""


class ClientClosed(Exception):
    """Raised when a client waits for a message or frame and the connection is closed."""

    def __init__(self, closed: Closed) -> None:
        super().__init__(f"{closed.code} {closed.reason}".rstrip())
        self.code: int = closed.code
        """The close code, as in :class:`Closed`."""
        self.reason: str = closed.reason
        """The reason, as in :class:`Closed`."""


class MemoryClient(Line):
    """A client of a resource under test; made by :func:`open_client` and :meth:`Kit.connect`.

    Sending never waits and never fails. The client answers pings and close frames as they
    arrive, whatever the test is doing. A frame that a server must not send, such as a masked one,
    fails the test.
    """

    def __init__(self, sock: MemorySocket, patience: float) -> None:
        super().__init__(sock, patience)
        self.answer_pings = True
        """Whether the client answers pings."""
        self.answer_close = True
        """Whether the client answers the server's close frame."""
        self.end_tcp = True
        """Whether the client ends TCP after the server has ended it."""
        self._exchange: Exchange | None = None
        """The opening handshake, until the server has answered it."""
        self._answer: Answer | None = None
        self._reader: Reader | None = None
        self._compression: Compression | None = None
        self._pace_when_open = inf
        self._arrived: deque[tuple[Frame, str | bytes | None]] = deque()
        self.close_sent: bool = False
        """Whether the client has sent a close frame."""
        self._closed: Closed | None = None

    async def open(self, path: str, fields: list[tuple[str, str]], bytes_per_second: float) -> None:
        """Do the opening handshake, then read ``bytes_per_second``.

        Raises:
            Refused: If the server answers with another status than 101.
            ClientClosed: If it does not answer.
        """
        self._exchange = Exchange(path, fields)
        self._pace_when_open = bytes_per_second
        self.send_bytes(self._exchange.data)
        with trio.fail_after(self.patience):
            await self._until(lambda: self._answer or self.nothing_follows)
        if self._answer is None:
            raise ClientClosed(self._facts)
        check_101(self._answer)

    @property
    def answer(self) -> Answer:
        """The server's 101 response."""
        return cast(Answer, self._answer)

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose."""
        return self.answer.headers.get("sec-websocket-protocol")

    @property
    def extensions(self) -> str:
        """The extensions that the server accepted, as it wrote them."""
        return self.answer.headers.get("sec-websocket-extensions", "")

    # Sending

    def send_text(self, message: str) -> None:
        """Send a text message, compressed if the server accepted compression.

        Raises:
            TypeError: For anything but a str.
        """
        if not isinstance(message, str):
            raise TypeError(f"a text message is a str, not {type(message).__name__}: see send_json and send_binary")
        self._send_message(TEXT, encode(message))

    def send_json(self, message: object) -> None:
        """Send a text message with the JSON of an object.

        Raises:
            TypeError: For an object that ``json.dumps`` does not encode.
        """
        self.send_text(json.dumps(message))

    def send_binary(self, message: bytes) -> None:
        """Send a binary message, compressed if the server accepted compression."""
        self._send_message(BINARY, bytes_of(message, BINARY_TYPES))

    def send_frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv1: bool = False) -> None:
        """Send one frame, valid or not."""
        self.send_bytes(masked(opcode, payload, fin=fin, rsv1=rsv1))

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping; :meth:`receive_frame` returns the pong."""
        self.send_frame(PING, payload)

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Send a close frame with any code, or with no code."""
        self.close_sent = True
        self.send_frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + encode(reason))

    def _send_message(self, opcode: int, payload: bytes) -> None:
        if self._compression is not None:
            payload = self._compression.deflate(payload)
        self.send_frame(opcode, payload, rsv1=self._compression is not None)

    # Receiving

    async def receive(self) -> str | bytes:
        """Return the next message; text is ``str``. Control frames are skipped.

        Raises:
            ClientClosed: If the connection is closed and no message is left.
            trio.TooSlowError: If no message arrives within ``patience``.
        """
        with trio.fail_after(self.patience):
            while (message := (await self._next())[1]) is None:
                await trio.lowlevel.checkpoint()
        return message

    async def receive_text(self) -> str:
        """Return the next message, which must be text; otherwise like :meth:`receive`."""
        message = await self.receive()
        assert isinstance(message, str), f"expected a text message, got binary: {message!r}"
        return message

    async def receive_json(self) -> Any:
        """Return the object in the next message, which must be JSON in text; otherwise like :meth:`receive`."""
        message = await self.receive_text()
        try:
            return json.loads(message)
        except ValueError:
            raise AssertionError(f"expected JSON, got {message!r}") from None

    async def receive_binary(self) -> bytes:
        """Return the next message, which must be binary; otherwise like :meth:`receive`."""
        message = await self.receive()
        assert isinstance(message, bytes), f"expected a binary message, got text: {message!r}"
        return message

    async def receive_frame(self) -> Frame:
        """Return the next frame of any kind; otherwise like :meth:`receive`."""
        with trio.fail_after(self.patience):
            return (await self._next())[0]

    def received(self) -> list[str | bytes]:
        """Return the messages that have arrived, without waiting for more."""
        messages = [message for _, message in self._arrived if message is not None]
        self._arrived.clear()
        return messages

    async def closed(self) -> Closed:
        """Wait until the connection has ended; return the code and reason of the server's close frame."""
        await self.ended()
        return self._facts

    async def _next(self) -> tuple[Frame, str | bytes | None]:
        await self._until(lambda: self._arrived or self._closed or self.nothing_follows)
        if not self._arrived:
            raise ClientClosed(self._facts)
        return self._arrived.popleft()

    @property
    def _facts(self) -> Closed:
        return self._closed or Closed(NO_CLOSE_FRAME, "")

    # Reading

    def _share(self) -> int:
        # Read nothing after the answer: its pace can be another.
        head = self._sock.peek().find(END_OF_HEAD) if self._exchange is not None else -1
        return super()._share() if head < 0 else head + len(END_OF_HEAD)

    def _take(self, data: bytes) -> None:
        if self._exchange is not None:
            self._answer = self._exchange.receive(data)
            if self._answer is not None:
                self._exchange = None
            if self._answer is not None and self._answer.status == 101:
                self._compression = Compression(self.extensions) if self.extensions else None
                self._reader = Reader(self._compression)
                self._set_pace(self._pace_when_open)
            return
        assert self._reader is not None, f"the server sent bytes after a refusal: {data!r}"
        for frame, message in self._reader.receive(data):
            self._arrived.append((frame, message))
            if frame.opcode == PING and self.answer_pings:
                self.send_frame(PONG, frame.payload)
            elif frame.opcode == CLOSE:
                code = int.from_bytes(frame.payload[:2], "big") if frame.payload else NO_CODE
                self._closed = Closed(code, frame.payload[2:].decode())
                if self.answer_close and not self.close_sent:
                    self.close_sent = True
                    self.send_frame(CLOSE, frame.payload[:2])

    def _at_end(self, end: Literal["eof", "reset"]) -> None:
        super()._at_end(end)
        if self.end_tcp and self._read_all and not self._hung_up:
            self.hang_up()

    @property
    def polite(self) -> bool:
        """Whether the client ends the connection in order."""
        return self.end is None and self.reads_all and self.answer_close and self.end_tcp
