"""Ends a connection: the actions behind the table in :mod:`wsframe.protocol.closing`, for both sides.

The table decides which phase follows an event, and this module acts. Methods in the first half report
events (``note``, ``close``, ``overdue``, ``on`` for others); those in the second half are actions.
The actions that differ are those of a :class:`Side`: ``connection/leaving`` for the clients of a server,
``outgoing/leaving`` for connections where we are the client.

When the peer ends first, its end is noted at once and delivered after the messages that came before it:
through the mailbox to the hooks, or to the task that receives. When they have reached it, they report
``HANDLED``: our close frame goes out after the replies. When we end first, our close frame is
queued and only the peer's is looked for. In both cases the connection lingers, when all bytes have left,
until the peer has ended TCP, since closing earlier could destroy a close frame on its way.

``timeouts.close`` bounds each phase and not the whole: it begins again with each phase, and after progress.
Progress depends on the phase. While the hooks have yet to reach the peer's end, it is a message taken;
:class:`~wsframe.protocol.deadlines.Patience` looks several times within the timeout, so that a machine that
stood still has used up one look, and it ends after twelve times the timeout in any case. While bytes have yet
to leave, progress is a byte that the peer has taken. A peer that only has to end TCP makes none: it has the
timeout once.

The rules:

1. The first reason holds: once ``ended`` is set, later ends of the same connection are not noted.
2. The end is delivered exactly once, after every message that came whole before it; only messages of a muted
   client are dropped. This holds after a lost connection and after an abort too.
3. At most one close frame is queued, after everything else; nothing is queued after it.
4. Replies to messages before the peer's end leave before the close frame that answers it, if the hooks get
   on; hooks that do not get on within the patience of ``timeouts.close`` are not waited for.
5. In each phase after ``OPEN`` a deadline runs until ``GONE``, so no peer keeps a socket for ever. Progress
   sets it again: a slow peer is not a stuck one.
6. The socket is closed or given away exactly once, after it has left the poller and the loop.
7. The client's place is free when two things are over: the socket, and ``disconnected``. So a peer that
   drops in a loop cannot pile up ends in a slow mailbox, nor can one that never ends TCP collect sockets.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import methodcaller
from typing import TYPE_CHECKING, Protocol

from wsframe.protocol.close import CloseCode
from wsframe.protocol.closing import CLOSING_TABLE, Action, ClosingEvent, Phase
from wsframe.protocol.deadlines import Patience
from wsframe.protocol.events import Ended

if TYPE_CHECKING:
    from wsframe.connection.outbox import Outbox
    from wsframe.connection.protocol_version import AnyDecoder
    from wsframe.connection.sender import Sender

__all__ = ["Closing", "ClosingLink", "Side"]


class ClosingLink(Protocol):
    """A link, as far as its end needs it."""

    clock: Callable[[], float]
    outbox: Outbox
    sender: Sender

    @property
    def name(self) -> str: ...
    @property
    def connection(self) -> AnyDecoder: ...
    def schedule(self) -> None: ...


class Side(Protocol):
    """The actions in which a server's clients and outgoing connections differ."""

    def noted(self, ended: Ended) -> None:
        """Report why the connection ends."""

    def deliver(self) -> None:
        """Deliver the noted end after all messages, once; later calls do nothing."""

    def mute(self) -> None:
        """Drop the messages that have not been handled."""

    def progress(self) -> bool:
        """Return whether messages before the end have been handled since the last call."""

    def seek_close(self) -> None:
        """Read on, whatever stopped the reading: the peer's close frame may come after much data."""

    def send_close(self, frame: bytes) -> None:
        """Queue a close frame."""

    def answer(self, ended: Ended) -> None:
        """Queue the close frame that is owed."""

    def linger(self) -> None:
        """Wait until the peer has ended TCP."""

    def linger_on(self) -> None:
        """Look whether to wait on, now that the deadline has passed."""

    def dispose(self, *, reset: bool) -> None:
        """Close the socket and forget it."""


class Closing:
    """The end of one link: its phase, its deadlines, and the actions of each phase."""

    __slots__ = ("_close_frame", "_link", "_patience", "_sent_mark", "_side", "ended", "phase")

    def __init__(self, link: ClosingLink, side: Side) -> None:
        self._link = link
        self._side = side
        self.phase: Phase = Phase.OPEN
        """How far the end has come."""
        self.ended: Ended | None = None
        """Why the connection ends, once that is known: the first reason holds. Our answer may still be owed."""
        self._close_frame = b""
        self._sent_mark = 0
        """Bytes sent when the deadline was set: more of them are progress."""
        self._patience: Patience | None = None
        """How long to wait for the hooks or the user to reach the end."""

    def on(self, event: ClosingEvent) -> None:
        """Go on to the next phase, with its actions."""
        found = CLOSING_TABLE.get((self.phase, event))
        if found is not None:
            self.phase, actions = found
            for action in actions:
                act = OF_SIDE.get(action)
                if act is None:
                    ACTIONS[action](self)
                else:
                    act(self._side)

    # Events

    def note(self, ended: Ended) -> None:
        """Note why the connection ends, and deliver that; the first reason holds."""
        if self.ended is not None:
            return
        self.ended = ended
        self._side.noted(ended)
        self.on(ClosingEvent.PEER_END)

    def close(self, frame: bytes) -> bool:
        """Queue a close frame after everything; return whether it was the first."""
        if self.phase not in (Phase.OPEN, Phase.PEER_ENDED):
            return False
        self._close_frame = frame
        self.on(ClosingEvent.CLOSE)
        return True

    def lost(self, reason: str = "connection lost") -> None:
        """Give up a socket that is broken; messages already here are still delivered."""
        self.on(ClosingEvent.LOST)
        self.note(Ended(CloseCode.ABNORMAL_CLOSURE, reason, clean=False))
        self._side.deliver()

    def abort(self, reason: str, *, mute: bool = False) -> None:
        """Reset the connection now; with ``mute``, messages that have not been handled are dropped."""
        if mute:
            self._side.mute()
        self.on(ClosingEvent.ABORT)
        self.lost(reason)

    def overdue(self) -> None:
        """Act on the deadline of the phase."""
        if self.phase is Phase.LINGERING:
            self._side.linger_on()
            return
        if self.phase is Phase.PEER_ENDED:
            patient = self._patience is not None and self._patience.lasts(progress=self._side.progress())
        else:
            patient = self._link.sender.unsent and self._link.outbox.bytes_sent > self._sent_mark
        self.on(ClosingEvent.SLOW if patient else ClosingEvent.OVERDUE)
        if self.phase is Phase.GONE:
            self.lost("close timeout")

    # Actions

    def _send_close(self) -> None:
        self._side.send_close(self._close_frame)

    def _seek_close(self) -> None:
        events = self._link.connection.close()
        self._side.seek_close()
        for event in events:
            if isinstance(event, Ended):
                self.note(event)

    def _answer(self) -> None:
        if self.ended is not None and self.ended.owed:
            self._side.answer(self.ended)
        self._link.outbox.shut = True

    def _set_deadline(self) -> None:
        deadlines = self._link.connection.deadlines
        seconds = deadlines.timeouts.close
        if self.phase is Phase.PEER_ENDED:
            self._patience = self._patience or Patience(seconds)
            self._side.progress()  # from now on
            seconds = self._patience.step
        self._sent_mark = self._link.outbox.bytes_sent
        deadlines.close_by = self._link.clock() + seconds
        if deadlines.close_by < deadlines.scheduled:
            self._link.schedule()

    def _drain(self) -> None:
        if self._link.sender.unsent:
            self._set_deadline()
        else:
            self.on(ClosingEvent.ALL_SENT)


OF_SIDE: dict[Action, Callable[[Side], None]] = {
    Action.DELIVER: methodcaller("deliver"),
    Action.LINGER: methodcaller("linger"),
    Action.CLOSE_SOCKET: methodcaller("dispose", reset=False),
    Action.RESET: methodcaller("dispose", reset=True),
}
"""The actions that a side carries out alone."""
ACTIONS: dict[Action, Callable[[Closing], None]] = {
    Action.SEND_CLOSE: Closing._send_close,
    Action.SEEK_CLOSE: Closing._seek_close,
    Action.ANSWER: Closing._answer,
    Action.SET_DEADLINE: Closing._set_deadline,
    Action.DRAIN: Closing._drain,
    Action.LET_GO: lambda closing: None,  # Leaving.hand_over does it
}
