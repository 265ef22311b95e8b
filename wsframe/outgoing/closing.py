"""How an outgoing connection ends: the actions behind the table in :mod:`wsframe.protocol.closing`.

The peer's end is noted at once: by its close frame, a violation, the end of TCP, or a deadline.
The close frame that we owe goes out when the user has received all messages that came before it,
so that the replies leave first, or when the user has received nothing for ``timeouts.close``. Once both close
frames are out, the server ends TCP (RFC 6455 section 7.1.1); we wait for it.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import trio

from wsframe.doorbell import Doorbell
from wsframe.log import log_for
from wsframe.net.transport import Transport
from wsframe.outgoing.exceptions import ConnectionClosed
from wsframe.outgoing.sender import Sender
from wsframe.protocol.close import CloseCode, CloseFrame, close_frame
from wsframe.protocol.closing import Action, Closing, ClosingEvent, Phase
from wsframe.protocol.deadlines import Patience
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.events import Ended, Event

__all__ = ["Ending", "EndingLink"]

logger = log_for(__name__)


class EndingLink(Protocol):
    """A link, as far as its end needs it."""

    name: str
    transport: Transport
    connection: Decoder
    sender: Sender
    messages: deque[Event]
    timer: Doorbell

    def wake_readers(self) -> None: ...


class Ending:
    """The end of one link: its phase, its deadlines, and what each phase does to the link."""

    def __init__(self, link: EndingLink) -> None:
        self._link = link
        self._table = Closing()
        self.ended: Ended | None = None
        """How the peer ended, once that is known: the first reason holds. Our answer may still be owed."""
        self.sent_close: CloseFrame | None = None
        """Our close frame, queued or sent."""
        self.peer_first = True
        """Whether the peer began to close, or broke the connection, or may yet."""
        self._close_frame = b""
        self._sent_mark = 0
        """Bytes sent when the deadline was set: more of them are progress."""
        self._patience: Patience | None = None
        """Patience with the user, who has not received the end yet."""
        self._unreceived = 0
        """Messages before the end when the deadline was set: fewer of them are progress."""

    @property
    def phase(self) -> Phase:
        """How far the end has come."""
        return self._table.phase

    def _on(self, event: ClosingEvent) -> None:
        for action in self._table.on(event):
            ACTIONS[action](self)

    def closed(self) -> ConnectionClosed:
        """Make the exception that says how the connection ended, or is about to."""
        ended = self.ended
        received = CloseFrame(ended.code, ended.reason) if ended is not None and ended.clean else None
        reason = "" if ended is None or ended.clean else ended.reason
        return ConnectionClosed(received, self.sent_close, peer_first=self.peer_first, reason=reason)

    # Events

    def note(self, ended: Ended) -> None:
        """Note how the peer ended; the first reason holds."""
        if self.ended is not None:
            return
        self.ended = ended
        if not ended.clean:
            logger.info("%s: closed %s (%s)", self._link.name, ended.code, ended.reason, kind=ended.code)
        self._on(ClosingEvent.PEER_END)

    def handled(self) -> None:
        """Go on: the user has received the end."""
        self._on(ClosingEvent.HANDLED)

    def close(self, code: int, reason: str) -> None:
        """Queue a close frame after everything; from now on only the peer's is looked for."""
        self._ours()
        self._close_frame = close_frame(code, reason)
        self._on(ClosingEvent.CLOSE)

    def all_sent(self) -> None:
        """Go on, if the end waited for the outbox."""
        if self._link.sender.outbox.shut and not self._link.sender.unsent:
            self._on(ClosingEvent.ALL_SENT)

    def lost(self) -> None:
        """Note that TCP has ended, or is broken."""
        self._on(ClosingEvent.LOST)
        self.note(Ended(CloseCode.ABNORMAL_CLOSURE, "connection lost", clean=False))

    def abort(self, reason: str, *, ours: bool = False) -> None:
        """Reset the connection now; ``ours`` if the user wants it."""
        if ours:
            self._ours()
        self._on(ClosingEvent.ABORT)
        self.note(Ended(CloseCode.ABNORMAL_CLOSURE, reason, clean=False))

    def dispose(self, *, reset: bool = False) -> None:
        """Close the socket without a log line: its user waits no longer. A reset leaves nothing in the kernel."""
        self._ours()
        self._on(ClosingEvent.ABORT if reset else ClosingEvent.LOST)
        if self.ended is None:
            self.ended = Ended(CloseCode.ABNORMAL_CLOSURE, "aborted", clean=False)

    def overdue(self) -> None:
        """Act on the deadline of the closing handshake."""
        link = self._link
        if self.phase is Phase.PEER_ENDED:
            progress = len(link.messages) < self._unreceived
            patient = self._patience is not None and self._patience.lasts(progress=progress)
        else:
            patient = link.sender.unsent and link.sender.outbox.octets_sent > self._sent_mark
        self._on(ClosingEvent.SLOW if patient else ClosingEvent.OVERDUE)
        if self.phase is Phase.GONE:
            self.note(Ended(CloseCode.ABNORMAL_CLOSURE, "close timeout", clean=False))

    def _ours(self) -> None:
        """Note that we end the connection, if neither side has begun to."""
        if self.phase is Phase.OPEN:
            self.peer_first = False

    # Actions

    def _send_close(self) -> None:
        self._put_close(self._close_frame)

    def _seek_close(self) -> None:
        for event in self._link.connection.close():
            if isinstance(event, Ended):
                self.note(event)
        self._link.wake_readers()

    def _deliver(self) -> None:
        self._link.wake_readers()

    def _answer(self) -> None:
        ended = self.ended
        if ended is not None and ended.owed:
            self._put_close(close_frame(ended.answer, "" if ended.clean else ended.reason))
        self._link.sender.outbox.shut = True

    def _put_close(self, frame: bytes) -> None:
        if not self._link.sender.outbox.shut:
            code, reason = frame[2:4], frame[4:].decode()
            self.sent_close = CloseFrame(int.from_bytes(code) if code else CloseCode.NO_STATUS_RECEIVED, reason)
            self._link.sender.put_close(frame)

    def _set_deadline(self) -> None:
        link = self._link
        timeout = link.connection.deadlines.timeouts.close
        if self.phase is Phase.PEER_ENDED:
            self._patience = self._patience or Patience(timeout)
            self._unreceived = len(link.messages)
            timeout = self._patience.step
        self._sent_mark = link.sender.outbox.octets_sent
        link.connection.deadlines.close_by = trio.current_time() + timeout
        link.timer.ring()

    def _drain(self) -> None:
        if self._link.sender.unsent:
            self._set_deadline()
        else:
            self._on(ClosingEvent.ALL_SENT)

    def _linger(self) -> None:
        deadlines = self._link.connection.deadlines
        deadlines.close_by = None
        deadlines.linger_by = trio.current_time() + deadlines.timeouts.close
        self._link.timer.ring()

    def _close_socket(self) -> None:
        self._dispose(reset=False)

    def _reset(self) -> None:
        self._dispose(reset=True)

    def _dispose(self, *, reset: bool) -> None:
        link = self._link
        link.transport.close(reset=reset)
        link.sender.give_up()
        link.connection.eof()
        link.timer.ring()
        link.wake_readers()


ACTIONS = {
    Action.SEND_CLOSE: Ending._send_close,
    Action.SEEK_CLOSE: Ending._seek_close,
    Action.DELIVER: Ending._deliver,
    Action.ANSWER: Ending._answer,
    Action.SET_DEADLINE: Ending._set_deadline,
    Action.DRAIN: Ending._drain,
    Action.LINGER: Ending._linger,
    Action.CLOSE_SOCKET: Ending._close_socket,
    Action.RESET: Ending._reset,
}
