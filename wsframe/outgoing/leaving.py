"""Ends an outgoing connection, where that differs from a server's client; ``connection/closing`` does the rest.

The close frame that we owe goes out when the user has received all messages that came before the server's, so
that the replies leave first, or when the user has received nothing for ``timeouts.close``. Once both close frames
are out, the server ends TCP (RFC 6455 section 7.1.1); we wait for it.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from wsframe.connection.closing import Closing, ClosingLink
from wsframe.log import Log, escaped, log_for
from wsframe.net.transport import Transport
from wsframe.outgoing.exceptions import ConnectionClosed
from wsframe.protocol.close import CloseCode, CloseFrame, close_frame
from wsframe.protocol.closing import ClosingEvent, Phase
from wsframe.protocol.events import Ended, Event

__all__ = ["OutgoingLeaving", "OutgoingLeavingLink"]

logger: Log = log_for(__name__)


class OutgoingLeavingLink(ClosingLink, Protocol):
    """A link, as far as its leaving needs it."""

    transport: Transport
    messages: deque[Event]

    @property
    def closing(self) -> Closing: ...
    def put_close(self, frame: bytes) -> None: ...
    def wake_readers(self) -> None: ...


class OutgoingLeaving:
    """The actions of an end that only an outgoing connection has, and the ends that its user asks for."""

    def __init__(self, link: OutgoingLeavingLink) -> None:
        self._link = link
        self.sent_close: CloseFrame | None = None
        """Our close frame, queued or sent."""
        self.peer_first: bool = True
        """Whether the peer began to close, or broke the connection, or may yet."""
        self._unreceived = 0
        """Messages before the end when they were last counted: fewer of them are progress."""

    def closed(self) -> ConnectionClosed:
        """Make the exception that says how the connection ended, or is about to."""
        ended = self._link.closing.ended
        received = CloseFrame(ended.code, ended.reason) if ended is not None and ended.clean else None
        reason = "" if ended is None or ended.clean else ended.reason
        return ConnectionClosed(received, self.sent_close, peer_first=self.peer_first, reason=reason)

    # The user's ends

    def close(self, code: int, reason: str) -> None:
        """Queue a close frame after everything; from now on only the peer's is looked for."""
        self._ours()
        self._link.closing.close(close_frame(code, reason))

    def abort(self) -> None:
        """Reset the connection now."""
        self._ours()
        self._link.closing.abort("aborted")

    def abandon(self, *, reset: bool = False) -> None:
        """Close the socket without a log line: its user does not wait any more. A reset leaves nothing in the
        kernel."""
        self._ours()
        closing = self._link.closing
        closing.on(ClosingEvent.ABORT if reset else ClosingEvent.LOST)
        if closing.ended is None:
            closing.ended = Ended(CloseCode.ABNORMAL_CLOSURE, "aborted", clean=False)

    def _ours(self) -> None:
        """Note that we end the connection, if neither side has begun to."""
        if self._link.closing.phase is Phase.OPEN:
            self.peer_first = False

    # Actions

    def noted(self, ended: Ended) -> None:
        if not ended.clean:
            logger.info("%s: closed %s (%s)", self._link.name, ended.code, escaped(ended.reason), kind=ended.code)

    def deliver(self) -> None:
        self._link.wake_readers()

    def mute(self) -> None:
        self._link.messages.clear()

    def progress(self) -> bool:
        before, self._unreceived = self._unreceived, len(self._link.messages)
        return self._unreceived < before

    def seek_close(self) -> None:
        self._link.wake_readers()

    def send_close(self, frame: bytes) -> None:
        if not self._link.outbox.shut:
            code, reason = frame[2:4], frame[4:].decode()
            self.sent_close = CloseFrame(int.from_bytes(code) if code else CloseCode.NO_STATUS_RECEIVED, reason)
            self._link.put_close(frame)

    def answer(self, ended: Ended) -> None:
        self.send_close(close_frame(ended.answer, "" if ended.clean else ended.reason))

    def linger(self) -> None:
        link = self._link
        link.connection.deadlines.close_by = link.clock() + link.connection.deadlines.timeouts.close
        link.schedule()

    def linger_on(self) -> None:
        self.abandon()

    def dispose(self, *, reset: bool) -> None:
        link = self._link
        link.transport.close(reset=reset)
        link.sender.give_up()
        link.connection.eof()
        link.schedule()
        link.wake_readers()
