"""One connected client: bytes from its socket go to its hooks, frames for it go to its socket.

A link has a transport (its socket), a decoder (``connection``), an inbox, an outbox with its sender, and a
closing; the pieces know the link, and nothing else of each other. All methods are sync and run in
the task that calls them: no task is ever inside a link, so pausing, resuming, closing and aborting
act immediately and need no queue of requests.
"""

from __future__ import annotations

from collections.abc import Callable
from os import urandom
from typing import TYPE_CHECKING

from wsframe.connection.closing import Closing
from wsframe.connection.leaving import Leaving
from wsframe.connection.loop import RECEIVE_BUFFER, Loop
from wsframe.connection.mailbox import Inbox
from wsframe.connection.pings import Pings
from wsframe.connection.readiness import Readiness
from wsframe.connection.sender import Sender
from wsframe.http.request import peer_name
from wsframe.log import Log, log_for, shortened
from wsframe.net.poller import END, GONE, READ, WRITE
from wsframe.net.socket_options import keep_alive
from wsframe.protocol.close import State, close_frame
from wsframe.protocol.closing import Phase
from wsframe.protocol.deadlines import PING_BYTES, Due
from wsframe.protocol.events import sort_out
from wsframe.protocol.frames import FIN, PING, PONG, control_frame
from wsframe.protocol.rate_limit import Buckets
from wsframe.speedups import shortcut
from wsframe.user_code.errors import contain

if TYPE_CHECKING:
    from wsframe.connection.counters import PathCounters
    from wsframe.connection.interfaces import Arrival, LinkedClient
    from wsframe.connection.outbox import Outbox
    from wsframe.connection.protocol_version import AnyDecoder
    from wsframe.net.transport import Transport
    from wsframe.protocol.size_limits import Check

__all__ = ["Link"]

logger: Log = log_for(__name__)

WHOLE_PING = FIN | PING


def nothing_taken(link: Link, buffer: bytearray, count: int) -> bool:
    """Return whether the first ``count`` bytes of a buffer are done with: never, for Python to take them.

    In its place C takes them if they are whole messages, for which there is room.
    """
    return False


take_received: Callable[[Link, bytearray, int], bool] = shortcut("take_received", nothing_taken)


class Link:
    """One connected client: the reactor reads it, the mailbox resumes it, the client closes it."""

    __slots__ = (
        "_undecoded",
        "buckets",
        "by_c",
        "bytes_received",
        "client",
        "clock",
        "closing",
        "connection",
        "counters",
        "fd",
        "inbox",
        "leaving",
        "loop",
        "opened_at",
        "outbox",
        "pings_made",
        "raw_fd",
        "readiness",
        "sender",
        "transport",
    )  # fmt: skip

    def __init__(self, arrival: Arrival, loop: Loop[Link]) -> None:
        host, version = arrival.host, arrival.version
        self.loop: Loop[Link] = loop
        self.clock: Callable[[], float] = loop.clock
        now = loop.now  # the reactor has just asked the clock
        self.counters: PathCounters = host.counters
        """The counters of the path whose resource the client is with."""
        self.transport: Transport = arrival.transport
        transport = self.transport
        assert transport.sock is not None
        self.fd: int = transport.sock.fileno()
        self.readiness: Readiness = Readiness(self.fd, loop.poller)
        descriptor = self.fd if transport.by_descriptor else -1
        self.raw_fd: int = descriptor if version.has_pings else -1
        """The descriptor, if C can read it: plain sockets of RFC 6455; -1 once it is closed."""
        self.by_c: bool = version.has_pings
        """Whether C can take the messages of bytes that Python has read: not those that a check is to see."""
        self.bytes_received: int = 0
        self.opened_at: float = now
        self._undecoded = 0
        self.connection: AnyDecoder = version.decoder(host.limits, host.timeouts, now, arrival.terms)
        self.sender: Sender = Sender(self, self.readiness)
        send = transport.send if descriptor >= 0 or not transport.secure else self.sender.send_encrypted
        limit, overflow = host.limits.max_outbox, host.overflow
        self.outbox: Outbox = version.outbox(send, self.sender, limit, overflow, loop.flusher, descriptor)
        self.pings_made: Pings | None = None
        """None until somebody asks for one."""
        if not version.has_pings:
            keep_alive(transport.sock, host.timeouts.ping_interval, host.timeouts.ping_timeout)
        encoder = version.encoder(host.deflate, arrival.terms)
        if arrival.terms is not None:
            loop.counters.measure(self.connection, encoder)
        self.client: LinkedClient = host.make_client(self, arrival, encoder)
        mailbox = host.mailbox_for_client()
        self.inbox: Inbox[LinkedClient] = Inbox(self.client, mailbox, host.limits, self, loop.budget)
        self.leaving: Leaving = Leaving(self, arrival.reservation)
        self.closing: Closing = Closing(self, self.leaving)
        rates = (host.limits.max_message_rate, host.limits.max_byte_rate)
        self.buckets: Buckets | None = None if rates == (None, None) else Buckets(rates, now)  # None: no limit

    def __repr__(self) -> str:
        return f"<Link {self.name} {self.state.value}>"

    @property
    def name(self) -> str:
        """The peer and the path, for log lines."""
        return f"{peer_name(self.client.request.host, self.client.request.port)} {shortened(self.client.request.path)}"

    @property
    def pings(self) -> Pings:
        """The pings whose pongs callers wait for; few clients ever need them."""
        self.pings_made = self.pings_made or Pings(self.outbox, self.clock)
        return self.pings_made

    @property
    def held(self) -> int:
        """The bytes that are counted for this client."""
        return self.inbox.byte_count + self.outbox.weight + self._undecoded

    @property
    def state(self) -> State:
        """The state of the connection as its client sees it."""
        if self.leaving.left_resource or self.closing.phase in (Phase.BOTH_CLOSED, Phase.LINGERING, Phase.GONE):
            return State.CLOSED
        return State.CLOSING if self.outbox.shut else State.OPEN

    def schedule(self) -> None:
        """Look at the deadlines again: one may be earlier now."""
        self.loop.pool.schedule(self.fd)

    def ask(self, check: Check) -> None:
        """Ask a check about frames from now on; a later check takes its place."""
        self.connection.ask(check)
        self.raw_fd, self.by_c = -1, False  # else whole messages would be received without Python

    def turn(self, flags: int) -> None:
        """Read and write as the socket is ready."""
        if flags & WRITE and self.readiness.interest & WRITE:
            self.sender.writable()
        if flags & READ and self.readiness.interest & READ:
            self.read()
        elif flags & (GONE | END):
            if self.readiness.interest & READ:
                self.read()
            elif flags & GONE:
                self.lost()
            elif self.readiness.interest & END:
                self.leaving.peer_shut_unread()

    def read(self) -> None:
        """Read once and pass the bytes on."""
        loop = self.loop
        try:
            count = self.transport.recv_into(loop.view)
        except BlockingIOError:
            if self.transport.secure:  # part of a record: nothing to decode, but the peer lives
                self.connection.deadlines.heard_at = loop.now
            return
        except OSError:
            self.lost()
            return
        if not count:
            self.leaving.peer_shut()
            return
        self.connection.deadlines.heard_at = loop.now
        self.bytes_received += count
        if not (self.by_c and take_received(self, loop.buffer, count)):
            self.take(loop.buffer[:count])

    def take(self, data: bytearray) -> None:
        """Decode bytes as far as the client's share of the mailbox allows."""
        connection, inbox, loop = self.connection, self.inbox, self.loop
        received = len(data)  # before the connection cuts off the bytes that it has decoded
        if data and data[0] == WHOLE_PING and inbox.waiting < inbox.max_messages and self.sender.answered(data):
            if self.buckets is not None:
                self._throttle(self.buckets.take((1, received), self.clock()))
            return
        events = connection.receive(data, inbox.max_messages - inbox.waiting)
        taken = len(events)
        ended = None
        if connection.special:
            events, pings, ended = sort_out(events, self._pong_for_hook)
            if pings:
                self.sender.put_pongs([control_frame(PONG, payload) for payload in pings])
        if events and not inbox.muted:
            inbox.put(events, connection.byte_count)
            if inbox.full or loop.budget.exceeded:
                self.pause("queue" if inbox.full else "memory")
        if ended is not None:
            self.closing.note(ended)
        # While a close frame is sought, the close timeout is the bound.
        if self.buckets is not None and self.closing.ended is None and connection.state is State.OPEN:
            self._throttle(self.buckets.take((taken, received), self.clock()))
        if connection.undecoded != self._undecoded:
            self.note_undecoded()
        if connection.stopped:
            if not inbox.paused:
                # Its turn is over. The attendant goes on, after others have had theirs; if we read on in
                # the meantime, the bytes left would grow as fast as the peer can send.
                self.readiness.read_no_more()
                loop.again.append(self)
                loop.flusher.doorbell.ring()
        elif self.closing.ended is not ended:  # else there is none, or noting it has delivered it
            self.leaving.deliver(more=ended is None)

    def go_on(self) -> None:
        """Decode the rest of the last read, and read again if nothing is left."""
        gone, before = self.closing.phase is Phase.GONE, self.inbox.received
        try:
            self.take(bytearray())
            stopped = self.inbox.paused or self.connection.stopped or self.readiness.eof
            if not stopped and self.closing.ended is None:
                self.readiness.read_on()
        except BaseException as error:
            contain(error)
            self.crashed(error)
        if gone:  # its other numbers are in the counters already
            self.counters.messages_received += self.inbox.received - before

    def _pong_for_hook(self, payload: bytes) -> bool:
        if self.connection.deadlines.take_pong(payload, self.clock()):
            self.schedule()  # the next ping is due before this one's timeout would have been
            return False
        if (self.pings_made is not None and self.pings_made.take_pong(payload)) or not self.inbox.wants_pongs:
            return False
        self.connection.byte_count += len(payload)
        self.inbox.received -= 1  # it takes room like a message, but does not count as one
        return True

    def pause(self, reason: str = "queue") -> None:
        """Stop reading: TCP makes the peer wait. Resumed by the inbox when the share is used up.

        The peer's end ends the client nevertheless, though it may only have shut its side: a peer that has gone
        would keep its place for as long as the pause lasts. If its end is stuck behind bytes that we do not read,
        our pings meet its reset.
        """
        self.loop.counters.paused(reason)
        self.inbox.paused = True
        self.connection.deadlines.paused = True
        self.readiness.read_no_more(tell_end=True)

    def _throttle(self, seconds: float) -> None:
        """Stop reading from a client that exceeds its rate, until it is within it again."""
        if seconds:
            self.connection.deadlines.resume_at = self.clock() + seconds
            self.pause("rate")
            self.schedule()

    def resume(self) -> None:
        """Go on after a pause: first with the bytes that are already here, which the kernel will never announce."""
        deadlines = self.connection.deadlines
        if deadlines.resume_at is not None:
            if self.clock() < deadlines.resume_at:
                return  # the timer will call again
            deadlines.resume_at = None
        if self.inbox.waiting:
            return  # the inbox will call again
        self.inbox.paused = False
        deadlines.resume(self.clock())
        self.go_on()
        self.schedule()

    def due(self, dues: list[Due]) -> None:
        """Act on deadlines that have passed."""
        deadlines = self.connection.deadlines
        for due in dues:
            if due is Due.PING:
                deadlines.sent_ping(urandom(PING_BYTES), self.clock())
                self.outbox.put_urgent(control_frame(PING, deadlines.ping_payload))
                if self.client._encoder is not None:  # the peer is silent, and most likely idle
                    self.client._encoder.rest()
            elif due is Due.PING_TIMEOUT:
                self.abort("ping timeout", mute=False)
            elif due is Due.RESUME:
                self.resume()
            elif due is Due.WRITE_STALL:
                self.sender.check_stall()
            else:
                self.closing.overdue()
        self.schedule()

    def close(self, code: int, reason: str, *, mute: bool = False) -> bool:
        """Queue a close frame after everything; from now on only look for the peer's."""
        self.inbox.muted |= mute
        return self.closing.close(close_frame(code, reason))

    def lost(self, reason: str = "connection lost") -> None:
        """Give up a socket that is broken; messages already here still reach the hooks."""
        self.closing.lost(reason)

    def abort(self, reason: str, *, mute: bool) -> bool:
        """Reset the connection now; return whether it was there."""
        self.inbox.muted |= mute
        if self.transport.sock is None:
            return False
        self.closing.abort(reason)
        return True

    def crashed(self, error: BaseException | None = None) -> None:
        """Give up a link on which our own code failed, with the exception being handled or the one given."""
        logger.error("%s: internal error; the connection is aborted", self.name, exc_info=error or True)
        self.abort("internal error", mute=True)

    def note_undecoded(self) -> None:
        """Count the bytes held of messages that have not been decoded."""
        if self.connection.undecoded == self._undecoded:
            return
        self.loop.budget.held += self.connection.undecoded - self._undecoded
        self._undecoded = self.connection.undecoded
        if self._undecoded > RECEIVE_BUFFER and self.loop.budget.exceeded and not self.inbox.paused:
            self.loop.flusher.doorbell.ring()  # nothing but a reset would stop it from growing
