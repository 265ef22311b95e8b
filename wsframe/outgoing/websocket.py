"""One outgoing connection, as its user sees it."""

from __future__ import annotations

from os import urandom
from typing import Self, final

import trio

from wsframe.doorbell import check_thread
from wsframe.http.request import Headers
from wsframe.outgoing.exceptions import ConnectionClosed
from wsframe.outgoing.link import OutgoingLink
from wsframe.outgoing.opening import Opened
from wsframe.protocol.close import State, check_close_code, check_reason
from wsframe.protocol.closing import ClosingEvent, Phase
from wsframe.protocol.deadlines import PING_BYTES
from wsframe.protocol.frames import BINARY, MAX_CONTROL_PAYLOAD, TEXT, check_frame_size
from wsframe.protocol.payload import (
    BINARY_TYPES,
    MESSAGE_TYPES,
    PING_TYPES,
    TEXT_TYPES,
    BytesLike,
    bytes_of,
    encode,
)

__all__ = ["WebSocket"]

# One of that many calls lets other tasks run, if none of them has waited; every call can be cancelled.
CALLS_IN_TURN = 16


@final
class WebSocket:
    """A connection to a server; made by :func:`connect`.

    Any number of tasks can send, one can receive. Cancelling any of its methods leaves the
    connection whole: a message whose ``send`` was cancelled has not been sent, not even in
    part, and a ``receive`` that was cancelled has taken none.

    Tasks of the connection answer pings and ping the server, also while no task
    receives. That stops when ``limits.max_queued_messages`` or ``max_queued_bytes``
    wait to be received: then nothing is read, and TCP makes the server wait.
    """

    __slots__ = ("_calls", "_link", "_receiving", "request_headers", "response_headers", "subprotocol", "url")

    url: str
    """Where it is connected, redirects followed, without credentials and query."""
    subprotocol: str | None
    """The subprotocol agreed on; None without one."""
    request_headers: Headers
    """The header fields that were sent."""
    response_headers: Headers
    """The header fields of the 101."""

    def __init__(self, link: OutgoingLink, opened: Opened) -> None:
        self._link = link
        self._calls = 0
        self._receiving = False
        self.url = str(opened.target)
        self.subprotocol = opened.upgraded.subprotocol
        self.request_headers = opened.request_headers
        self.response_headers = opened.upgraded.headers

    def __repr__(self) -> str:
        return f"<WebSocket {self.url} {self.state.value}>"

    @property
    def state(self) -> State:
        """OPEN; CLOSING once either side has begun to close; CLOSED when the connection has ended."""
        link = self._link
        if link.done:
            return State.CLOSED
        return State.OPEN if link.closing.phase is Phase.OPEN else State.CLOSING

    @property
    def close_code(self) -> int | None:
        """The close code once the server has ended: its own, 1005 if its close frame had no code,
        ours after a violation, 1006 if there was no close frame at all; None before."""
        return None if self._link.closing.ended is None else int(self._link.closing.ended.code)

    @property
    def close_reason(self) -> str:
        """The reason that came with the close code, or the cause if there was no close frame."""
        return "" if self._link.closing.ended is None else self._link.closing.ended.reason

    @property
    def closed_cleanly(self) -> bool:
        """Whether the server sent a close frame."""
        return self._link.closing.ended is not None and self._link.closing.ended.clean

    @property
    def extensions(self) -> tuple[str, ...]:
        """The extensions agreed on, with their parameters, as the 101 named them."""
        deflater = self._link.writer.deflater
        return () if deflater is None else (deflater.terms.answer,)

    @property
    def latency(self) -> float | None:
        """Seconds from the newest ping to its pong; None before the first. To measure: :meth:`measure_latency`."""
        return self._link.deadlines.latency

    async def _turn(self) -> None:
        """Be cancelled if that is due, and let others run now and then; nothing has been done yet."""
        self._calls += 1
        if self._calls % CALLS_IN_TURN:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await trio.lowlevel.checkpoint()

    async def send_text(
        self, message: str | BytesLike, *, frame_size: int | None = None, compress: bool | None = None
    ) -> None:
        """Send a text message; waits while ``limits.max_outbox`` bytes wait for the server to read.

        When it returns, the message has been sent or is queued within that limit. When it
        is cancelled, nothing of the message is sent.

        Args:
            message: Text, or its UTF-8 bytes, which are not checked.
            frame_size: Splits the message into frames of at most that many bytes.
            compress: Whether to compress, where it was agreed on; None leaves it to the
                threshold of :class:`Deflate`.

        Raises:
            ConnectionClosed: If the connection has ended, or a close frame of ours is out.
            TypeError: For a message of another type.
            ValueError: For a lone surrogate, or a frame size below 1.
        """
        payload = encode(message) if isinstance(message, str) else bytes_of(message, TEXT_TYPES)
        await self._send(TEXT, payload, frame_size, compress)

    async def send_binary(
        self, message: BytesLike, *, frame_size: int | None = None, compress: bool | None = None
    ) -> None:
        """Send a binary message; otherwise as :meth:`send_text`.

        Raises:
            ConnectionClosed: If the connection has ended, or a close frame of ours is out.
            TypeError: For anything but bytes, bytearray or memoryview.
            ValueError: For a frame size below 1.
        """
        await self._send(BINARY, bytes_of(message, BINARY_TYPES), frame_size, compress)

    async def send(self, message: str | BytesLike) -> None:
        """Send a text message for a str, a binary one for bytes; otherwise as :meth:`send_text`."""
        if isinstance(message, str):
            await self._send(TEXT, encode(message), None, None)
        else:
            await self.send_binary(bytes_of(message, MESSAGE_TYPES))

    async def _send(self, opcode: int, payload: bytes, frame_size: int | None, compress: bool | None) -> None:
        if frame_size is not None:
            check_frame_size(frame_size)
        await self._turn()
        if not await self._link.writer.room_for(len(payload)):
            raise self._link.leaving.closed()
        self._link.writer.put(opcode, payload, frame_size, compress)

    async def receive(self) -> str | bytes:
        """Return the next message; waits for it.

        Raises:
            ConnectionClosed: When the connection has ended and all messages were received.
            trio.BusyResourceError: If another task is receiving.
        """
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving")
        link = self._link
        self._receiving = True
        try:
            await self._turn()
            while not link.messages:
                if link.closing.ended is not None:
                    link.closing.on(ClosingEvent.HANDLED)
                    raise link.leaving.closed()
                await link.read()
                self._calls = 0
        finally:
            self._receiving = False
        message = link.take()
        assert isinstance(message, str | bytes)
        return message

    def __aiter__(self) -> Self:
        """Iterate over messages until the connection is closed."""
        return self

    async def __anext__(self) -> str | bytes:
        """Return the next message.

        Raises:
            StopAsyncIteration: When the connection was closed in order: by us, or by the
                server with 1000, 1001 or no code.
            ConnectionClosed: When it ended in any other way.
        """
        try:
            return await self.receive()
        except ConnectionClosed as closed:
            if closed.orderly:
                raise StopAsyncIteration from None
            raise

    async def ping(self, payload: bytes | None = None) -> float:
        """Ping the server and return the seconds until its pong; waits for it.

        The ping goes out before queued messages. The pong comes after the messages that the
        server has sent before it, so it is not seen while too many of those wait to be
        received; bound the wait with ``trio.fail_after``.

        Args:
            payload: At most 125 bytes; None for random ones.

        Raises:
            ConnectionClosed: If the connection ended before the pong.
            TypeError: For a payload of another type.
            ValueError: For a payload over 125 bytes (RFC 6455 section 5.5).
        """
        data = urandom(PING_BYTES) if payload is None else bytes_of(payload, PING_TYPES)
        if len(data) > MAX_CONTROL_PAYLOAD:
            raise ValueError(f"the payload of a ping is at most {MAX_CONTROL_PAYLOAD} bytes, got {len(data)}")
        await self._turn()
        link = self._link
        ping = link.ping(data)
        try:
            while ping.latency is None:
                if link.closing.ended is not None:
                    raise link.leaving.closed()
                await link.read()
        finally:
            link.forget(ping)
        link.deadlines.latency = ping.latency
        return ping.latency

    async def measure_latency(self) -> float | None:
        """Ping the server and return the seconds until its pong, from then on its :attr:`latency`.

        None if no pong comes within ``timeouts.ping_timeout``, or if the connection has ended.
        :meth:`ping` does the same without a limit in time, and raises.
        """
        with trio.move_on_after(self._link.deadlines.timeouts.ping_timeout):
            try:
                return await self.ping()
            except ConnectionClosed:
                return None
        return None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close: send a close frame after everything queued, wait for the server's and for the end of TCP.

        Each takes at most ``timeouts.close``, and queued messages as long as the server keeps
        taking some of them; then the connection is reset. Messages that were received before
        can still be taken with :meth:`receive`. Closing twice does no harm. If it is
        cancelled, the closing goes on.

        Args:
            code: The close code.
            reason: Cut at 123 bytes on a character boundary.

        Raises:
            TypeError: For a code that is not an int, or a reason that is not a str.
            ValueError: For a code that must not be sent (RFC 6455 section 7.4).
        """
        check_close_code(code)
        check_reason(reason)
        self._link.leaving.close(code, reason)
        await trio.lowlevel.checkpoint()
        await self._link.finished()

    def abort(self) -> None:
        """Reset the connection now, without a close frame, and drop queued messages. Only in trio's own thread."""
        check_thread()
        self._link.leaving.abort()
