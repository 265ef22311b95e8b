"""How a server's connection ends: the actions behind the table in :mod:`wsframe.protocol.closing`.

The table decides which phase follows an event, and this module acts. Methods in the first half report
events (``note``, ``handled``, ``close``, ``all_sent``, ``overdue``); those in the second half are actions.

When the peer ends first, its end is noted at once and delivered through the mailbox, after the messages
that came before it. When the listener task has reached it, it calls :meth:`Ending.handled`: our close frame
goes out after the replies. When we end first, our close frame is queued and only the peer's is looked for.
In both cases the sending side is shut when all bytes have left, and the socket lingers until the peer has
shut its own side and has taken everything, since closing earlier could destroy a close frame on its way.

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

from typing import TYPE_CHECKING, Any, Protocol

from wsframe.connection.end_line import log_end
from wsframe.doorbell import Signal
from wsframe.net.sockets import has_unread
from wsframe.protocol.close import CloseCode, State, close_frame
from wsframe.protocol.closing import Action, Closing, ClosingEvent, Phase
from wsframe.protocol.deadlines import Patience
from wsframe.protocol.events import Ended

if TYPE_CHECKING:
    from wsframe.connection.dialect import AnyDecoder
    from wsframe.connection.handover import LinkClient
    from wsframe.connection.lifeline import Reservation
    from wsframe.connection.loop import Loop
    from wsframe.connection.mailbox import Inbox
    from wsframe.connection.outbox import Outbox
    from wsframe.connection.pings import Pings
    from wsframe.connection.readiness import Readiness
    from wsframe.connection.sender import Sender
    from wsframe.net.sockets import Endpoint
    from wsframe.net.transport import Transport

__all__ = ["Ending", "EndingLink"]

# How often to ask whether a peer that has shut its side has taken everything.
LINGER_LOOK = 0.25


class EndingLink(Protocol):
    """A link, as far as its end needs it."""

    fd: int
    raw_fd: int
    opened_at: float
    octets_received: int
    client: LinkClient
    loop: Loop[Any]
    transport: Transport
    readiness: Readiness
    connection: AnyDecoder
    inbox: Inbox[Any]
    outbox: Outbox
    sender: Sender
    pings: Pings

    @property
    def name(self) -> str: ...
    def note_undecoded(self) -> None: ...


class Ending:
    """The end of one link: its phase, its deadlines, and what each phase does to the link."""

    __slots__ = (
        "_close_frame",
        "_delivered",
        "_first",
        "_gone",
        "_linger_until",
        "_link",
        "_patience",
        "_sent_mark",
        "_table",
        "ended",
        "left_resource",
        "reservation",
    )

    def __init__(self, link: EndingLink, reservation: Reservation) -> None:
        self._link = link
        self.reservation = reservation
        self._table = Closing()
        self.ended: Ended | None = None
        """Why the connection ends, once that is known: the first reason holds."""
        self.left_resource = False
        """Whether ``disconnected`` has run."""
        self._close_frame = b""
        self._delivered = False
        """Whether the end is in the mailbox, or has been."""
        self._gone: Signal | None = None
        self._sent_mark = 0
        """Bytes sent when the deadline was set: more of them are progress."""
        self._patience: Patience | None = None
        """How long the hooks, which have not reached the end, are still waited for."""
        self._first: object = None
        """The mailbox's first entry when the hooks were last looked at. A different one is their progress, so
        nothing has to be noted where messages are taken."""
        self._linger_until = 0.0

    @property
    def phase(self) -> Phase:
        """How far the end has come."""
        return self._table.phase

    def _on(self, event: ClosingEvent) -> None:
        for action in self._table.on(event):
            ACTIONS[action](self)

    # Events

    def note(self, ended: Ended) -> None:
        """Note why the connection ends, and deliver that; the first reason holds."""
        if self.ended is not None:
            return
        self.ended = ended
        self._link.client._note_end(ended)
        if self.phase is Phase.GONE:
            log_end(self._link, ended)
        self._on(ClosingEvent.PEER_END)

    def deliver(self) -> None:
        """Send the noted end after the client's messages, once, and once all bytes before it are decoded."""
        link = self._link
        if self.ended is None or self._delivered:
            return
        if link.connection.stopped and not link.inbox.muted:
            if link.connection.deadlines.resume_at is not None:
                # It sent too fast. Going on slowly spares no other client, and the timer may be forgotten with it.
                link.connection.deadlines.resume_at = None
                link.inbox.resume()
            return
        self._delivered = True
        link.connection.eof()
        link.note_undecoded()
        link.inbox.put_end(self.ended)
        link.readiness.read_no_more()  # nothing after the end counts, and the poller would report its EOF without end

    def handled(self) -> None:
        """Go on: the hooks have got to the end."""
        self._on(ClosingEvent.HANDLED)

    def close(self, frame: bytes) -> bool:
        """Queue a close frame after everything; return whether it was the first."""
        if self.phase not in (Phase.OPEN, Phase.PEER_ENDED):
            return False
        self._close_frame = frame
        self._on(ClosingEvent.CLOSE)
        return True

    def all_sent(self) -> None:
        """Go on, if the end waited for the outbox."""
        if self._link.outbox.shut and not self._link.sender.unsent:
            self._on(ClosingEvent.ALL_SENT)

    def lost(self, reason: str) -> None:
        """Give up a socket that is broken; messages already here still reach the hooks."""
        self._on(ClosingEvent.LOST)
        self.note(Ended(CloseCode.ABNORMAL_CLOSURE, reason, clean=False))
        self.deliver()

    def abort(self, reason: str) -> None:
        """Reset the connection now."""
        self._on(ClosingEvent.ABORT)
        self.lost(reason)

    def hand_over(self) -> Endpoint:
        """Leave an open connection to others; return its socket."""
        self._on(ClosingEvent.HAND_OVER)
        return self._link.transport.release()

    def peer_shut(self) -> None:
        """Note that the peer has shut its sending side."""
        self._link.readiness.eof = True
        self._link.readiness.read_no_more()
        if self.phase is Phase.LINGERING:
            self.linger_on()
        elif self._link.connection.state is not State.CLOSED:
            self.note(Ended(CloseCode.ABNORMAL_CLOSURE, "connection lost", clean=False))

    def peer_shut_unread(self) -> None:
        """End a client that is paused, whose peer has shut its side: most likely both, which does not show.

        Messages already read are delivered and, if that was all, answered. Bytes still in the kernel are not worth
        a client's place.
        """
        sock = self._link.transport.sock
        if sock is not None and has_unread(sock):
            self.lost("connection lost")
        else:
            self.peer_shut()

    def overdue(self) -> None:
        """Act on the deadline of the closing handshake."""
        link = self._link
        if self.phase is Phase.PEER_ENDED:
            progress = link.inbox.mailbox.next_entry() is not self._first
            patient = self._patience is not None and self._patience.lasts(progress=progress)
        else:
            patient = link.sender.unsent and link.outbox.octets_sent > self._sent_mark
        self._on(ClosingEvent.SLOW if patient else ClosingEvent.OVERDUE)
        if self.phase is Phase.GONE:
            self.lost("close timeout")

    def linger_on(self) -> None:
        """Close once the peer has shut its side and taken everything, or reset at the deadline.

        If it were closed earlier, unread bytes would stay in the kernel, where no limit counts them.
        """
        if self.phase is not Phase.LINGERING:
            return
        link = self._link
        deadlines, now = link.connection.deadlines, link.loop.clock()
        left = (link.transport.in_kernel() or 0) > 1  # 1 may be our FIN
        if now >= self._linger_until or (link.readiness.eof and not left):
            self._on(ClosingEvent.OVERDUE if left else ClosingEvent.TCP_ENDED)
            return
        deadlines.linger_by = self._linger_until
        if link.readiness.eof:
            link.readiness.forget()
            deadlines.linger_by = min(now + LINGER_LOOK, self._linger_until)
        link.loop.schedule(link.fd)

    def left(self) -> None:
        """Note that ``disconnected`` has run."""
        link = self._link
        self.left_resource = True
        link.connection.eof()  # where the hooks were cut off, it may hold bytes that have not been decoded
        link.note_undecoded()
        link.loop.departed.discard(link)
        self._release()

    def gone(self) -> Signal:
        """Return the signal that the socket is closed."""
        if self._gone is None:
            self._gone = Signal()
            if self.phase is Phase.GONE:
                self._gone.fire()
        return self._gone

    # Actions

    def _send_close(self) -> None:
        self._link.outbox.put_close(self._close_frame)

    def _seek_close(self) -> None:
        link = self._link
        events = link.connection.close()
        link.note_undecoded()
        link.inbox.paused = link.connection.deadlines.paused = False
        if not link.readiness.eof:
            link.readiness.read_on()  # the peer's close frame may come after data that was left unread
        for event in events:
            if isinstance(event, Ended):
                self.note(event)

    def _answer(self) -> None:
        link, ended = self._link, self.ended
        self._first = None
        if ended is not None and ended.owed:
            link.outbox.put_close(close_frame(ended.answer, ended.reason))
        link.outbox.shut = True

    def _set_deadline(self) -> None:
        if self.phase is Phase.PEER_ENDED:
            self._await_hooks()
        else:
            self._sent_mark = self._link.outbox.octets_sent
            self._close_within(self._link.connection.deadlines.timeouts.close)

    def _drain(self) -> None:
        if self._link.sender.unsent:
            self._set_deadline()
        else:
            self._on(ClosingEvent.ALL_SENT)

    def _linger(self) -> None:
        """Shut the sending side, and wait until the peer has shut its own (RFC 6455 section 7.1.1)."""
        link = self._link
        try:
            link.transport.shut_sending()
        except OSError:
            self._on(ClosingEvent.LOST)
            return
        deadlines = link.connection.deadlines
        deadlines.close_by = None
        deadlines.linger_by = self._linger_until = link.loop.clock() + deadlines.timeouts.close
        if link.readiness.eof:
            self.linger_on()
            return
        link.readiness.only_read()
        if self._linger_until < deadlines.scheduled:
            link.loop.schedule(link.fd)

    def _close_socket(self) -> None:
        self._dispose(reset=False)

    def _reset(self) -> None:
        self._dispose(reset=True)

    def _dispose(self, *, reset: bool) -> None:
        """Close the socket and forget it."""
        link, loop = self._link, self._link.loop
        loop.forget(link.fd)
        link.transport.close(reset=reset)
        loop.octets_sent_before += link.outbox.octets_sent
        loop.octets_received_before += link.octets_received
        if link.inbox.octets:
            loop.departed.add(link)
        self._give_up()
        if self.ended is not None:
            log_end(link, self.ended)

    def _let_go(self) -> None:
        """Forget the socket, which stays open; the next link of the connection counts its bytes."""
        self._link.loop.forget(self._link.fd)
        self._give_up()

    def _give_up(self) -> None:
        """Send no more, and end the calls that wait for the peer."""
        link = self._link
        link.raw_fd = -1
        link.readiness.give_up()
        link.outbox.give_up()
        link.pings.give_up()
        if self._gone is not None:
            self._gone.fire()
        self._release()

    def _await_hooks(self) -> None:
        """Give the hooks time to reach the end."""
        link = self._link
        if self._patience is None:
            self._patience = Patience(link.connection.deadlines.timeouts.close)
        self._first = link.inbox.mailbox.next_entry()
        self._close_within(self._patience.step)

    def _close_within(self, seconds: float) -> None:
        link = self._link
        deadlines = link.connection.deadlines
        deadlines.close_by = link.loop.clock() + seconds
        if deadlines.close_by < deadlines.scheduled:
            link.loop.schedule(link.fd)

    def _release(self) -> None:
        # Both must be over: a peer that drops in a loop must not pile up lives in the
        # mailbox of a slow resource, nor one that never ends TCP descriptors.
        if self.left_resource and self.phase is Phase.GONE:
            self.reservation.release()


ACTIONS = {
    Action.SEND_CLOSE: Ending._send_close,
    Action.SEEK_CLOSE: Ending._seek_close,
    Action.DELIVER: Ending.deliver,
    Action.ANSWER: Ending._answer,
    Action.SET_DEADLINE: Ending._set_deadline,
    Action.DRAIN: Ending._drain,
    Action.LINGER: Ending._linger,
    Action.CLOSE_SOCKET: Ending._close_socket,
    Action.RESET: Ending._reset,
    Action.LET_GO: Ending._let_go,
}
