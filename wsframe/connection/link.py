"""One connected client's link: what is read goes to its hooks, what it asks for is done.

A link is a wire (its socket and outbox), an ending (how it ends) and what is here. All of
its methods are sync and run in whichever task calls them: no task is ever inside a link,
so pausing, resuming, closing and aborting act at once and need no queue of wishes.
"""

from __future__ import annotations

from os import urandom
from typing import TYPE_CHECKING

from wsframe.connection.closing import Ending
from wsframe.connection.lifeline import ClientStatistics
from wsframe.connection.mailbox import Inbox
from wsframe.doorbell import Signal
from wsframe.net.poller import END, GONE, READ, WRITE
from wsframe.net.sockets import has_unread
from wsframe.protocol.close import CloseCode, State, close_frame
from wsframe.protocol.deadlines import PING_OCTETS, Due
from wsframe.protocol.events import Ended, Event, PingReceived, PongReceived
from wsframe.protocol.frames import PING, PONG, control_frame
from wsframe.protocol.rate_limit import Bucket
from wsframe.resources.check_message import check_of
from wsframe.resources.client import Client
from wsframe.user_code import contain

if TYPE_CHECKING:
    from wsframe.connection.handover import Arrival
    from wsframe.connection.reactor import Reactor

__all__ = ["Link"]

MAX_MEASURING = 16


class Link(Ending):
    """One connected client: the reactor reads it, the mailbox resumes it, the client closes it."""

    __slots__ = ("_buckets",)

    def __init__(self, arrival: Arrival, reactor: Reactor) -> None:
        super().__init__(arrival, reactor)
        host = arrival.host
        encoder = arrival.dialect.encoder(host.deflate, arrival.terms)
        self.client = Client(
            self, self.outbox, arrival.request, host.resource, arrival.subprotocol, arrival.data, encoder
        )
        self.inbox = Inbox(self.client, host.mailbox_for_client(), host.limits, self.resume, reactor.budget)
        self.ask_resource()
        rates = (host.limits.max_message_rate, host.limits.max_octet_rate)
        self._buckets: list[Bucket | None] | None = None
        if rates != (None, None):
            self._buckets = [None if rate is None else Bucket(rate, reactor.clock()) for rate in rates]

    def __repr__(self) -> str:
        return f"<Link {self.name} {self.state().value}>"

    def ask_resource(self) -> None:
        """Have the resource asked about frames from now on, if it wants to be; a later one is asked in its place."""
        check = check_of(self.client)
        if check is not None:
            self.connection.ask(check)
            self.raw_fd = -1  # else whole messages would be received without Python

    def turn(self, flags: int) -> None:
        """Do what the socket is ready for."""
        if flags & WRITE and self.interest & WRITE:
            self.writable()
        if flags & READ and self.interest & READ:
            self.read()
        elif flags & (GONE | END):
            if self.interest & READ:
                self.read()
            elif flags & GONE:
                self.lost()
            elif self.interest & END:
                self._ends_unread()

    def read(self) -> None:
        """Read once and pass on what it brings."""
        reactor = self.reactor
        try:
            count = self.recv_into(reactor.view)
        except BlockingIOError:
            if self.tls is not None:  # part of a record: nothing to decode, but the peer lives
                self.connection.deadlines.heard_at = reactor.now
            return
        except OSError:
            self.lost()
            return
        if not count:
            self._at_eof()
            return
        self.connection.deadlines.heard_at = reactor.now
        self.octets_received += count
        self.take(reactor.buffer[:count])

    def take(self, data: bytearray) -> None:
        """Decode octets as far as the client's share of the mailbox allows."""
        connection, inbox, reactor = self.connection, self.inbox, self.reactor
        received = len(data)  # before it is the connection's, which cuts off what it has decoded
        events = connection.receive(data, inbox.max_messages - inbox.waiting)
        taken = len(events)
        if connection.special:
            events = self._sort_out(events)
        if events and not inbox.muted:
            inbox.put(events, connection.octets)
            if inbox.full or reactor.budget.exceeded:
                self._pause()
        # While a close frame is sought, the close timeout is the bound.
        if self._buckets is not None and self.ended is None and connection.state is State.OPEN:
            self._throttle(taken, received)
        if connection.undecoded != self._undecoded:
            self._note_undecoded()
        if connection.stopped:
            if not inbox.paused:
                # Its turn is over. The attendant goes on, after others have had theirs; read on
                # meanwhile, the octets left would grow as fast as the peer can send.
                self.read_no_more()
                reactor.again.append(self)
                reactor.flusher.doorbell.ring()
        elif self.ended is not None:
            self._deliver_end()

    def go_on(self) -> None:
        """Decode what is left of the last read, and read again if that is all."""
        try:
            self.take(bytearray())
            if not (self.inbox.paused or self.connection.stopped or self.eof or self.ended is not None):
                self.read_on()
        except BaseException as error:
            contain(error)
            self.crashed(error)

    def _sort_out(self, events: list[Event]) -> list[Event]:
        """Answer pings, take our own pongs and the end; return what is for the hooks."""
        kept: list[Event] = []
        pongs: list[bytes] = []
        for event in events:
            if isinstance(event, PingReceived):
                pongs.append(control_frame(PONG, event.payload))
            elif isinstance(event, Ended):
                self._note_end(event)
            elif not isinstance(event, PongReceived):
                kept.append(event)
            elif self._pong_for_hook(event.payload):
                kept.append(event)
                self.connection.octets += len(event.payload)
                self.inbox.received -= 1  # it takes room like a message, but is none
        if pongs:  # as one piece: each that is put walks past those before it
            self.outbox.put_urgent(pongs[-1] if self.outbox.blocked else b"".join(pongs))
        return kept

    def _pong_for_hook(self, payload: bytes) -> bool:
        if self.connection.deadlines.take_pong(payload, self.reactor.clock()):
            self.reactor.schedule(self.fd)  # the next ping is due before this one's timeout would have been
            return False
        if self._measuring and payload in self._measuring:
            signal, since = self._measuring.pop(payload)
            signal.fire(self.reactor.clock() - since)
            return False
        return self.inbox.mailbox.wants_pongs

    def _pause(self) -> None:
        """Stop reading: TCP makes the peer wait. Resumed by the inbox when the share is used up.

        The peer's end ends the client nevertheless, though it may only have shut its side: a peer that has gone
        would keep its place for as long as the pause lasts. Where its end is stuck behind what we do not read, our
        pings meet its reset.
        """
        self.inbox.paused = True
        self.connection.deadlines.paused = True
        self.read_no_more(tell_end=True)

    def _throttle(self, events: int, octets: int) -> None:
        """Read no more from a client that is ahead of its rate, until it is no longer."""
        now = self.reactor.clock()
        pause = 0.0
        for bucket, taken in zip(self._buckets or (), (events, octets), strict=True):
            if bucket is not None:
                pause = max(pause, bucket.take(taken, now))
        if pause:
            self.connection.deadlines.resume_at = now + pause
            self._pause()
            self.reactor.schedule(self.fd)

    def resume(self) -> None:
        """Go on after a pause: first with what is already here, which the kernel will never announce."""
        deadlines = self.connection.deadlines
        if deadlines.resume_at is not None:
            if self.reactor.clock() < deadlines.resume_at:
                return  # the timer will call again
            deadlines.resume_at = None
        if self.inbox.waiting:
            return  # the inbox will call again
        self.inbox.paused = False
        deadlines.resume(self.reactor.clock())
        self.go_on()
        self.reactor.schedule(self.fd)

    def _at_eof(self) -> None:
        self.eof = True
        self.read_no_more()
        if self.connection.deadlines.linger_by is not None:
            self._linger_on()
        elif self.connection.state is not State.CLOSED:
            self._note_end(Ended(CloseCode.ABNORMAL_CLOSURE, "connection lost", clean=False))
            self._hasten_end()

    def _ends_unread(self) -> None:
        """End a client that is not read, whose peer has shut its side: most likely both, which does not show.

        What has been read is delivered and, if that was all, answered. What has not is not worth a place.
        """
        if self.sock is None or has_unread(self.sock):
            self.lost()
        else:
            self._at_eof()

    def due(self, dues: list[Due]) -> None:
        """Act on deadlines that have passed."""
        deadlines = self.connection.deadlines
        for due in dues:
            if due is Due.PING:
                deadlines.sent_ping(urandom(PING_OCTETS), self.reactor.clock())
                self.outbox.put_urgent(control_frame(PING, deadlines.ping_payload))
            elif due is Due.PING_TIMEOUT:
                self.abort("ping timeout", mute=False)
            elif due is Due.RESUME:
                self.resume()
            elif due is Due.WRITE_STALL:
                self.check_stall()
            elif due is Due.CLOSE:
                self._close_overdue()
            else:
                self._linger_on()
        self.reactor.schedule(self.fd)

    def state(self) -> State:
        if self.sock is None or self.left_resource or (self.ended is not None and self.outbox.shut):
            return State.CLOSED
        return State.CLOSING if self.outbox.shut else State.OPEN

    def tell(self, event: object) -> None:
        """Put an event into the mailbox, behind the client's messages."""
        self.inbox.mailbox.tell(self.inbox, event)

    def close(self, code: int, reason: str, *, mute: bool = False) -> bool:
        """Queue a close frame behind everything; from now on only the peer's is looked for."""
        self.inbox.muted |= mute
        if not self.outbox.put_close(close_frame(code, reason)):
            return False
        if self.ended is not None:
            self._finish()
            return True
        events = self.connection.close()
        self._note_undecoded()
        self._set_deadline(close_by=True)
        self.inbox.paused = self.connection.deadlines.paused = False
        if not self.eof:
            # Its close frame may sit behind data that was left unread.
            self.read_on()
        for event in events:
            if isinstance(event, Ended):
                self._note_end(event)
                self._deliver_end()
        return True

    def reject(self, code: int, reason: str) -> bool:
        self.outbox.drop_unsent()
        return self.close(code, reason, mute=True)

    def measure_latency(self) -> tuple[Signal | None, float]:
        at_most = self.connection.deadlines.timeouts.ping_timeout
        payload = urandom(PING_OCTETS)
        if not self.outbox.put_ping(control_frame(PING, payload)):
            return None, at_most
        signal = Signal()
        self._measuring = self._measuring or {}
        if len(self._measuring) >= MAX_MEASURING:  # a peer that answers no ping, or callers that gave up
            self._measuring.pop(next(iter(self._measuring)))[0].fire()
        self._measuring[payload] = signal, self.reactor.clock()
        return signal, at_most

    def statistics(self) -> ClientStatistics:
        inbox, outbox = self.inbox, self.outbox
        return ClientStatistics(
            messages_received=inbox.received,
            messages_waiting=inbox.waiting,
            octets_received=self.octets_received,
            octets_sent=outbox.octets_sent,
            octets_waiting=outbox.counted,
            messages_dropped=outbox.dropped,
            latency=self.connection.deadlines.latency,
        )
