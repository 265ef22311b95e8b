"""Ends a server's client: its end goes to the hooks, its socket lingers, its place becomes free."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from wsframe.connection.close_log import log_end
from wsframe.connection.closing import Closing, ClosingLink
from wsframe.doorbell import Signal
from wsframe.net.poller import READ
from wsframe.net.sockets import has_unread
from wsframe.protocol.close import State, close_frame
from wsframe.protocol.closing import ClosingEvent, Phase
from wsframe.protocol.events import Ended

if TYPE_CHECKING:
    from wsframe.connection.counters import PathCounters
    from wsframe.connection.interfaces import HeldPlace, LinkedClient
    from wsframe.connection.loop import Loop
    from wsframe.connection.mailbox import Inbox
    from wsframe.connection.pings import Pings
    from wsframe.connection.readiness import Readiness
    from wsframe.net.sockets import Endpoint
    from wsframe.net.transport import Transport

__all__ = ["Leaving", "LeavingLink"]

# How often to ask whether a peer that has shut its side has taken everything.
LINGER_LOOK = 0.25


class LeavingLink(ClosingLink, Protocol):
    """A link, as far as its client's leaving needs it."""

    clock: Callable[[], float]
    raw_fd: int
    fd: int
    opened_at: float
    bytes_received: int
    counters: PathCounters
    client: LinkedClient
    loop: Loop[Any]
    transport: Transport
    readiness: Readiness
    inbox: Inbox[Any]
    pings_made: Pings | None

    @property
    def closing(self) -> Closing: ...
    def note_undecoded(self) -> None: ...


class Leaving:
    """The actions of an end that only a server's link has, and the place that the client gives back."""

    __slots__ = ("_delivered", "_first", "_gone", "_linger_until", "_link", "left_resource", "reservation")

    def __init__(self, link: LeavingLink, reservation: HeldPlace) -> None:
        self._link = link
        self.reservation: HeldPlace = reservation
        self.left_resource: bool = False
        """Whether ``disconnected`` has run."""
        self._delivered = False
        """Whether the end is in the mailbox, or has been."""
        self._gone: Signal | None = None
        self._first: object = None
        """The mailbox's first entry when the hooks were last looked at. A different one is their progress, so
        nothing has to be noted where messages are taken."""
        self._linger_until = 0.0

    # The end goes to the hooks

    def noted(self, ended: Ended) -> None:
        self._link.client._note_end(ended)
        self._link.loop.counters.ended(ended)
        if self._link.closing.phase is Phase.GONE:
            log_end(self._link, ended)

    def deliver(self, *, more: bool = False) -> None:
        """Send the noted end after the client's messages, once, and once all bytes before it are decoded.

        Args:
            more: Whether bytes came after it.
        """
        link, ended = self._link, self._link.closing.ended
        if ended is None:
            return
        if self._delivered:
            if more and link.closing.phase is not Phase.LINGERING:
                link.readiness.read_no_more()
            return
        if link.connection.stopped and not link.inbox.muted:
            if link.connection.deadlines.resume_at is not None:
                # It sent too fast. Going on slowly spares no other client, and the timer may be forgotten with it.
                link.connection.deadlines.resume_at = None
                link.inbox.reader.resume()
            return
        self._delivered = True
        if link.connection.state is not State.CLOSED:
            link.connection.eof()
            link.note_undecoded()
        if not ended.clean or not link.readiness.interest & READ:
            # Nothing after the end counts, and the poller would report its EOF without end. After a close frame
            # nothing comes, usually, before the socket is read for its EOF again: that rule spares the poller twice.
            link.readiness.read_no_more()
        link.inbox.put_end(ended)

    def mute(self) -> None:
        self._link.inbox.muted = True

    def progress(self) -> bool:
        before, self._first = self._first, self._link.inbox.mailbox.next_entry(self._link.inbox)
        return self._first is not before

    def peer_shut(self) -> None:
        """Note that the peer has shut its sending side."""
        link = self._link
        link.readiness.eof = True
        if link.closing.phase is Phase.LINGERING:
            self.linger_on()  # takes it out of the poller
            return
        link.readiness.read_no_more()
        if link.connection.state is not State.CLOSED:
            link.closing.note(Ended(1006, "connection lost", clean=False))

    def peer_shut_unread(self) -> None:
        """End a client that is paused, whose peer has shut its side: most likely both, which does not show.

        Messages already read are delivered and, if that was all, answered. Bytes still in the kernel are not worth
        a client's place.
        """
        sock = self._link.transport.sock
        if sock is not None and has_unread(sock):
            self._link.closing.lost()
        else:
            self.peer_shut()

    # The close frames

    def seek_close(self) -> None:
        link = self._link
        link.note_undecoded()
        link.inbox.paused = link.connection.deadlines.paused = False
        if not link.readiness.eof:
            link.readiness.read_on()

    def send_close(self, frame: bytes) -> None:
        self._link.outbox.put_close(frame)

    def answer(self, ended: Ended) -> None:
        self._first = None
        self._link.outbox.put_close(close_frame(ended.answer, ended.reason))

    # The end of TCP

    def linger(self) -> None:
        """Shut the sending side, and wait until the peer has shut its own (RFC 6455 section 7.1.1)."""
        link = self._link
        try:
            link.transport.shut_sending()
        except OSError:
            link.closing.on(ClosingEvent.LOST)
            return
        deadlines = link.connection.deadlines
        deadlines.close_by = self._linger_until = link.clock() + deadlines.timeouts.close
        if link.readiness.eof:
            self.linger_on()
            return
        if link.readiness.interest != READ:
            link.readiness.only_read()
        if self._linger_until < deadlines.scheduled:
            link.schedule()

    def linger_on(self) -> None:
        """Close once the peer has shut its side and taken everything, or reset at the deadline.

        If it were closed earlier, unread bytes would stay in the kernel, where no limit counts them.
        """
        link = self._link
        if link.closing.phase is not Phase.LINGERING:
            return
        deadlines, now = link.connection.deadlines, link.clock()
        left = (link.transport.in_kernel() or 0) > 1  # 1 may be our FIN
        if now >= self._linger_until or (link.readiness.eof and not left):
            link.closing.on(ClosingEvent.OVERDUE if left else ClosingEvent.TCP_ENDED)
            return
        deadlines.close_by = self._linger_until
        if link.readiness.eof:
            link.readiness.forget()
            deadlines.close_by = min(now + LINGER_LOOK, self._linger_until)
        link.schedule()

    def dispose(self, *, reset: bool) -> None:
        link, loop = self._link, self._link.loop
        loop.forget(link.fd)
        link.transport.close(reset=reset, eof=link.readiness.eof)
        link.counters.settle(link)
        if link.inbox.byte_count:
            loop.departed.add(link)
        self._give_up()
        if link.closing.ended is not None:
            log_end(link, link.closing.ended)

    def hand_over(self) -> Endpoint:
        """Leave an open connection to others, whose link counts its bytes from now on; return its socket."""
        link = self._link
        link.closing.on(ClosingEvent.HAND_OVER)
        link.counters.settle(link)
        link.loop.forget(link.fd)
        self._give_up()
        return link.transport.release()

    def _give_up(self) -> None:
        """Send no more, and end the calls that wait for the peer."""
        link = self._link
        link.raw_fd = -1
        link.readiness.fd = -1  # the descriptor is another's soon
        link.outbox.give_up()
        if link.pings_made is not None:
            link.pings_made.give_up()
        if self._gone is not None:
            self._gone.fire()
        if self.left_resource:
            self.reservation.release()

    # The client's place, which is free when both the socket and ``disconnected`` are over: rule 7 of ``closing``

    def gone(self) -> Signal:
        """Return the signal that the socket is closed."""
        if self._gone is None:
            self._gone = Signal()
            if self._link.closing.phase is Phase.GONE:
                self._gone.fire()
        return self._gone

    def left(self) -> None:
        """Note that ``disconnected`` has run."""
        link = self._link
        self.left_resource = True
        if not self._delivered:  # the hooks were cut off, and it can hold bytes that have not been decoded
            link.connection.eof()
            link.note_undecoded()
        link.loop.departed.discard(link)
        if link.closing.phase is Phase.GONE:
            self.reservation.release()
