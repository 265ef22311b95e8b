"""How an outgoing connection ends: in order, whoever begins.

``ended`` is set once, by the peer's close frame, a violation, the end of TCP or a
deadline. The close frame that we owe then goes out when the user has received what came
before it, so that his replies leave first, or when he has received nothing for ``timeouts.close``. Once both close
frames are out the server ends TCP (RFC 6455 section 7.1.1); we wait for it.
"""

from __future__ import annotations

from abc import abstractmethod
from os import urandom

import trio

from wsframe.exceptions import ConnectionClosed
from wsframe.limits import Limits
from wsframe.log import logger, shortened
from wsframe.outgoing.sending import Sending
from wsframe.outgoing.transport import Transport
from wsframe.protocol.close import CloseCode, CloseFrame, close_frame
from wsframe.protocol.deadlines import PING_OCTETS, Due, Patience
from wsframe.protocol.decoder import Connection
from wsframe.protocol.deflate import Deflater
from wsframe.protocol.events import Ended
from wsframe.protocol.frames import PING

__all__ = ["Ending"]


class Ending(Sending):
    """A connection as far as its end and its deadlines are concerned; the middle part of a link.

    Args:
        transport, limits, deflater: As for :class:`Sending`.
        connection: The receiving half.
        name: For log lines.
    """

    def __init__(
        self,
        transport: Transport,
        limits: Limits,
        connection: Connection,
        name: str,
        deflater: Deflater | None = None,
    ) -> None:
        super().__init__(transport, limits, connection.deadlines, deflater)
        self.connection = connection
        self.name = shortened(name)
        self.ended: Ended | None = None
        """How the peer ended; our answer may still be owed."""
        self.sent_close: CloseFrame | None = None
        """What our close frame says, queued or sent."""
        self.peer_first = False
        self.done = False
        """Whether the socket is closed."""
        self._lingering = False
        self._sent_mark = 0
        self._patience: Patience | None = None
        """With the user, who has not received the end yet."""
        self._untaken = 0
        """Messages before it when he was last looked at."""

    @abstractmethod
    def waiting(self) -> int:
        """Return how many messages the user has not received."""

    @abstractmethod
    def take_in(self, *, announced: bool = True) -> None:
        """Receive what is here and decode it; ``announced`` if the kernel has said that there is something."""

    @abstractmethod
    def wake_readers(self) -> None:
        """Let those look again who wait for something from the peer."""

    def closed(self) -> ConnectionClosed:
        """Make the exception that tells how the connection ended, or is about to."""
        ended = self.ended
        received = CloseFrame(ended.code, ended.reason) if ended is not None and ended.clean else None
        reason = "" if ended is None or ended.clean else ended.reason
        return ConnectionClosed(received, self.sent_close, peer_first=self.peer_first, reason=reason)

    def note_end(self, ended: Ended) -> None:
        """Note how the peer ended; the first reason holds."""
        if self.ended is not None:
            return
        self.ended = ended
        self.peer_first = self.sent_close is None
        if not ended.clean:
            logger.info("%s: closed %s (%s)", self.name, ended.code, ended.reason, kind=ended.code)
        if self.outbox.shut:
            self._finish()
        else:
            self._patience = Patience(self.deadlines.timeouts.close)
            self._await_user()
        self.wake_readers()

    def answer(self) -> None:
        """Send the close frame that is owed, behind what was queued."""
        ended = self.ended
        if ended is not None and ended.owed and not self.outbox.shut:
            code = CloseCode.NO_STATUS_RECEIVED if ended.answer is None else ended.answer
            self.sent_close = CloseFrame(int(code), "" if ended.clean else ended.reason)
            self.put_close(close_frame(ended.answer, self.sent_close.reason))
            self._finish()

    def close(self, code: int, reason: str) -> None:
        """Queue a close frame behind everything; from now on only the peer's is looked for."""
        if self.outbox.shut:
            if self.sent_close is None:
                self._finish()  # nothing can be sent any more: all that is left is the end of TCP
            return
        frame = close_frame(code, reason)
        self.sent_close = CloseFrame(code, frame[4:].decode())
        self.put_close(frame)
        if self.ended is not None:
            self._finish()
            return
        self._set_close_by()
        for event in self.connection.close():
            if isinstance(event, Ended):
                self.note_end(event)
        self.wake_readers()

    def _set_close_by(self) -> None:
        self.deadlines.close_by = trio.current_time() + self.deadlines.timeouts.close
        self._sent_mark = self.outbox.octets_sent
        self.timer.ring()

    def _await_user(self) -> None:
        """Give the user time to receive the end."""
        if self._patience is not None:
            self._untaken = self.waiting()
            self.deadlines.close_by = trio.current_time() + self._patience.step
            self.timer.ring()

    def _finish(self) -> None:
        """Wait for the server to end TCP, as soon as all is sent."""
        if self.unsent:
            self._set_close_by()
        elif not self._lingering and not self.done:
            self._lingering = True
            self.deadlines.close_by = None
            self.deadlines.linger_by = trio.current_time() + self.deadlines.timeouts.close
            self.timer.ring()

    def emptied(self) -> None:
        if not self.outbox.shut or self.unsent:
            return
        if self.ended is not None:
            self._finish()
        elif self.deadlines.close_by is not None and self.outbox.octets_sent > self._sent_mark:
            self._set_close_by()  # only now can the server answer our close frame

    def lost(self) -> None:
        """Note that TCP has ended."""
        self.note_end(Ended(CloseCode.ABNORMAL_CLOSURE, "connection lost", clean=False))
        self.dispose()

    def abort(self, reason: str, *, ours: bool = False) -> None:
        """Reset the connection now; ``ours`` if the user wants it."""
        first = self.ended is None
        self.note_end(Ended(CloseCode.ABNORMAL_CLOSURE, reason, clean=False))
        if first and ours:
            self.peer_first = False
        self.dispose(reset=True)

    def dispose(self, reason: str = "aborted", *, reset: bool = False) -> None:
        """Close the socket; a reset leaves nothing in the kernel. The reason is for who ended without one."""
        if self.done:
            return
        self.done = True
        self.transport.close(reset=reset)
        self.give_up()
        self.connection.eof()
        if self.ended is None:
            self.ended = Ended(CloseCode.ABNORMAL_CLOSURE, reason, clean=False)
        self.timer.ring()
        self.wake_readers()

    async def watch(self) -> None:
        """Do what is due, until the connection has ended."""
        while not self.done:
            with trio.move_on_at(self.deadlines.next()):
                await self.timer.wait()
            for due in self.deadlines.due(trio.current_time()):
                self._act(due)

    def _act(self, due: Due) -> None:
        deadlines = self.deadlines
        if due is Due.PING:
            deadlines.sent_ping(urandom(PING_OCTETS), trio.current_time())
            self.put_urgent(PING, deadlines.ping_payload)
            self.flush()
        elif due is Due.PING_TIMEOUT:
            self.take_in(announced=False)  # where the program was held up, the pong is in the kernel
            if Due.PING_TIMEOUT in deadlines.due(trio.current_time()):
                self.abort("ping timeout")
        elif due is Due.WRITE_STALL:
            self.check_stall()
        elif due is Due.CLOSE:
            self._close_overdue()
        elif due is Due.LINGER:
            self.dispose("close timeout")

    def _close_overdue(self) -> None:
        if not self.outbox.shut:
            if self._patience is not None and self._patience.lasts(progress=self.waiting() < self._untaken):
                self._await_user()
            else:
                self.answer()  # the user does not come to receive the end
        elif self.unsent and self.outbox.octets_sent > self._sent_mark:
            self._set_close_by()  # slow, but it moves
        else:
            self.abort("close timeout")
