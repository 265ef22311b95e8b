"""One connected socket: what is read from it, what is written to it, and how it ends.

A link has a connection (what the octets mean), an inbox (messages on their way to the
hooks), an outbox (frames on their way out) and a client (what the user holds). All its
methods are sync and run in whichever task calls them: no task is ever inside a link, so
pausing, resuming, closing and aborting act at once and need no queue of wishes.

How a link ends: ``ended`` is set once, by the peer's close frame, a violation, EOF, a
reset or a deadline, and travels through the mailbox behind the client's messages. When
the listener gets to it, it calls ``answer``: the close frame we owe goes out behind the
replies. Then the sending side is shut, and the socket lingers until the peer has shut
its own, so that no reset overtakes the close frame.
"""

from __future__ import annotations

import socket
from logging import getLogger
from os import urandom
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from wsframe.client import Client, ClientStatistics
from wsframe.doorbell import Signal
from wsframe.mailbox import Inbox
from wsframe.outbox import Outbox
from wsframe.poller import GONE, READ, WRITE
from wsframe.protocol.close import CloseCode, State, close_frame
from wsframe.protocol.connection import Connection
from wsframe.protocol.events import Ended, Event, PingReceived, PongReceived
from wsframe.protocol.frames import PING, PONG, control_frame
from wsframe.protocol.keepalive import Due
from wsframe.request import peer_name
from wsframe.socketopts import reset_on_close, unsent_in_kernel

if TYPE_CHECKING:
    from wsframe.limits import Limits, Timeouts
    from wsframe.mailbox import Mailbox
    from wsframe.protocol.pool import Reservation
    from wsframe.reactor import Reactor
    from wsframe.request import Request
    from wsframe.resource import Resource
    from wsframe.tls import TLSCodec

__all__ = ["CONNECTED", "Arrival", "Host", "Link"]

logger = getLogger("wsframe")


class Connected:
    """The first thing a mailbox holds of a client."""


CONNECTED = Connected()


class Host(Protocol):
    """The life of a resource, as far as a link needs it."""

    resource: Resource
    limits: Limits
    timeouts: Timeouts

    def mailbox_for_client(self) -> Mailbox: ...


class Arrival(NamedTuple):
    """A newcomer who has got the 101."""

    sock: socket.socket
    tls: TLSCodec | None
    request: Request
    subprotocol: str | None
    data: object
    host: Host
    reservation: Reservation


class Link:
    """One connected socket with all that belongs to it; the reactor's alone to read and write."""

    __slots__ = (
        "_gone", "_kernel_mark", "_measuring", "_reservation", "_sent_mark", "client", "connection", "end_delivered",
        "ended", "eof", "fd", "inbox", "interest", "left_resource", "outbox", "reactor", "recv_into", "sock", "tls",
    )  # fmt: skip

    def __init__(self, arrival: Arrival, reactor: Reactor) -> None:
        self.reactor = reactor
        self.sock: socket.socket | None = arrival.sock
        self.tls = arrival.tls
        self.fd = arrival.sock.fileno()
        self.recv_into = (arrival.tls or arrival.sock).recv_into
        self.interest = READ
        self.eof = False
        """Whether the peer has shut its sending side."""
        self.ended: Ended | None = None
        self.end_delivered = False
        self.left_resource = False
        """Whether ``disconnected`` has run."""
        self._reservation = arrival.reservation
        self._gone: Signal | None = None
        self._measuring: dict[bytes, tuple[Signal, float]] | None = None
        self._kernel_mark = self._sent_mark = 0
        host, limits = arrival.host, arrival.host.limits
        self.connection = Connection(limits, host.timeouts, reactor.clock())
        send = arrival.sock.send if arrival.tls is None else self._send_encrypted
        self.outbox = Outbox(send, self, limits.max_outbox, host.resource.overflow, reactor.flusher)
        self.client: Client[Any] = Client(
            self, self.outbox, arrival.request, host.resource, arrival.subprotocol, arrival.data
        )
        self.inbox = Inbox(self.client, host.mailbox_for_client(), limits, self.resume)

    def __repr__(self) -> str:
        return f"<Link {self.name} {self.state().value}>"

    @property
    def name(self) -> str:
        """The peer and the path, for log lines."""
        request = self.client.request
        return f"{peer_name(request.host, request.port)} {request.path}"

    # Reading

    def greet(self) -> None:
        """Announce the client to its hooks, ahead of its messages."""
        self.inbox.mailbox.put(self.inbox, CONNECTED)

    def turn(self, flags: int) -> None:
        """Do what the socket is ready for."""
        if flags & WRITE and self.interest & WRITE:
            self._writable()
        if flags & READ and self.interest & READ:
            self.read()
        elif flags & GONE:
            if self.interest & READ:
                self.read()
            else:
                self.lost()

    def read(self) -> None:
        """Read once and pass on what it brings."""
        reactor = self.reactor
        try:
            count = self.recv_into(reactor.view)
        except BlockingIOError:
            return
        except OSError:
            self.lost()
            return
        if not count:
            self._at_eof()
            return
        self.connection.deadlines.heard_at = reactor.now
        self.take(reactor.buffer[:count])

    def take(self, data: bytearray) -> None:
        """Decode octets as far as the client's share of the mailbox allows."""
        connection, inbox = self.connection, self.inbox
        events = connection.receive(data, inbox.max_messages - inbox.waiting)
        if connection.special:
            events = self._sort_out(events)
        if events and not inbox.muted:
            inbox.put(events, connection.octets)
            if inbox.waiting >= inbox.max_messages or inbox.octets >= inbox.max_octets:
                self._pause()
        if connection.stopped and not inbox.paused:
            # Pings took the room. The rest is for the attendant, so that others have their turn.
            self.reactor.again.append(self)
            self.reactor.flusher.doorbell.ring()
        elif self.ended is not None:
            self._deliver_end()

    def _sort_out(self, events: list[Event]) -> list[Event]:
        """Answer pings, take our own pongs and the end; return what is for the hooks."""
        kept: list[Event] = []
        for event in events:
            if isinstance(event, PingReceived):
                self.outbox.put_urgent(control_frame(PONG, event.payload))
            elif isinstance(event, Ended):
                self._note_end(event)
            elif not isinstance(event, PongReceived) or self._pong_for_hook(event.payload):
                kept.append(event)
        return kept

    def _pong_for_hook(self, payload: bytes) -> bool:
        deadlines = self.connection.deadlines
        if deadlines.ping_at is not None and payload == deadlines.ping_payload:
            deadlines.latency = self.reactor.clock() - deadlines.ping_at
            deadlines.ping_at = None
            return False
        if self._measuring and payload in self._measuring:
            signal, since = self._measuring.pop(payload)
            signal.fire(self.reactor.clock() - since)
            return False
        return self.inbox.mailbox.wants_pongs

    def _pause(self) -> None:
        """Stop reading: TCP makes the peer wait. Resumed by the inbox when the share is used up."""
        self.inbox.paused = True
        self.connection.deadlines.paused = True
        self._watch(self.interest & ~READ)

    def resume(self) -> None:
        """Go on after a pause: first with what is already here, which the kernel will never announce."""
        deadlines = self.connection.deadlines
        self.inbox.paused = deadlines.paused = False
        deadlines.heard_at = self.reactor.clock()
        deadlines.ping_at = None
        try:
            self.take(bytearray())
        except Exception:
            self.crashed()
        if not self.inbox.paused and self.ended is None and not self.eof:
            self._watch(self.interest | READ)
        self.reactor.schedule(self)

    def _at_eof(self) -> None:
        self.eof = True
        self._watch(self.interest & ~READ)
        if self.connection.deadlines.linger_by is not None:
            self._dispose()
        elif self.connection.state is not State.CLOSED:
            self._note_end(Ended(CloseCode.ABNORMAL_CLOSURE, "connection lost", clean=False))
            if not self.connection.stopped:
                self._deliver_end()

    def lost(self, reason: str = "connection lost") -> None:
        """Give up a socket that is broken; messages already here still reach the hooks."""
        self._dispose()
        self._note_end(Ended(CloseCode.ABNORMAL_CLOSURE, reason, clean=False))
        if not self.connection.stopped or self.inbox.muted:
            self._deliver_end()

    def crashed(self) -> None:
        """Give up a link on which our own code failed; no other link is concerned."""
        logger.exception("%s: internal error; the connection is aborted", self.name)
        self.abort("internal error", mute=True)

    # Ending

    def _note_end(self, ended: Ended) -> None:
        """Note why the link ends; the first reason holds."""
        if self.ended is not None:
            return
        self.ended = ended
        client = self.client
        client.close_code, client.close_reason, client.closed_cleanly = ended.code, ended.reason, ended.clean
        if not ended.clean:
            logger.info("%s: closed %s (%s)", self.name, ended.code, ended.reason)

    def _deliver_end(self) -> None:
        """Send the end after the client's messages, once."""
        ended = self.ended
        if ended is None or self.end_delivered:
            return
        self.end_delivered = True
        self.connection.eof()
        if self.sock is not None:
            # What comes behind the end is of no use, and its EOF would be reported without end.
            self._watch(self.interest & ~READ)
            if self.outbox.shut:
                self._finish()
            else:
                self._set_deadline(close_by=True)
        self.inbox.mailbox.put(self.inbox, ended)

    def answer(self, ended: Ended) -> None:
        """Send the close frame owed to the peer, behind all replies; called when the hooks have got to the end."""
        if self.sock is None:
            return
        if ended.owed:
            self.outbox.put_close(close_frame(ended.answer, "" if ended.clean else ended.reason))
        self.outbox.shut = True
        self._finish()

    def _finish(self) -> None:
        """Shut the sending side as soon as the outbox is empty."""
        if not self.outbox.items and not (self.tls is not None and self.tls.unsent):
            self._shut_sending()
        else:
            self._set_deadline(close_by=True)

    def _shut_sending(self) -> None:
        """Say that no more will come, and linger until the peer has said so too (RFC 6455 section 7.1.1)."""
        if self.sock is None or self.connection.deadlines.linger_by is not None:
            return
        try:
            if self.tls is not None:
                self.tls.close_notify()
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.eof = True
        if self.eof:
            self._dispose()
            return
        self._set_deadline(close_by=False)
        self._watch(READ)

    def _set_deadline(self, *, close_by: bool) -> None:
        deadlines = self.connection.deadlines
        by = self.reactor.clock() + deadlines.timeouts.close
        if close_by:
            deadlines.close_by = by
            self._sent_mark = self.outbox.octets_sent
        else:
            deadlines.close_by = None
            deadlines.linger_by = by
        self.reactor.schedule(self)

    def _dispose(self, *, reset: bool = False) -> None:
        """Close the socket and forget it."""
        sock, self.sock = self.sock, None
        if sock is None:
            return
        self.reactor.forget(self)
        if reset:
            reset_on_close(sock)
        sock.close()
        self.outbox.give_up()
        for signal, _ in (self._measuring or {}).values():
            signal.fire()
        if self._gone is not None:
            self._gone.fire()
        self._release()

    def left(self) -> None:
        """Note that ``disconnected`` has run."""
        self.left_resource = True
        self._release()

    def serves(self, mailbox: Mailbox) -> bool:
        """Tell whether the client's messages go to this mailbox."""
        return self.inbox.mailbox is mailbox

    def _release(self) -> None:
        # Both must be over: a peer that drops in a loop must not pile up lives in the
        # mailbox of a slow resource, nor one that never ends TCP descriptors.
        if self.left_resource and self.sock is None:
            self._reservation.release()

    # Deadlines

    def due(self, dues: list[Due]) -> None:
        """Act on deadlines that have passed."""
        deadlines = self.connection.deadlines
        for due in dues:
            if due is Due.PING:
                deadlines.ping_payload = urandom(4)
                deadlines.ping_at = self.reactor.clock()
                self.outbox.put_urgent(control_frame(PING, deadlines.ping_payload))
            elif due is Due.PING_TIMEOUT:
                self.abort("ping timeout", mute=False)
            elif due is Due.WRITE_STALL:
                self._check_stall()
            elif due is Due.CLOSE:
                self._close_overdue()
            else:
                self._dispose()
        self.reactor.schedule(self)

    def _check_stall(self) -> None:
        """Abort a peer that takes nothing; one whose window moves slowly is let be."""
        left = None if self.sock is None else unsent_in_kernel(self.sock)
        if left is not None and left < self._kernel_mark:
            self._kernel_mark = left
            self.connection.deadlines.blocked_at = self.reactor.clock()
        else:
            self.abort("write stall", mute=False)

    def _close_overdue(self) -> None:
        if not self.outbox.shut and self.ended is not None:
            # The hooks have not got to the peer's end: it gets its answer without them.
            self.answer(self.ended)
        elif self.outbox.octets_sent > self._sent_mark:
            self._set_deadline(close_by=True)  # slow, but it moves
        else:
            self.abort("close timeout", mute=False)

    # What the client asks for

    def state(self) -> State:
        if self.sock is None or self.left_resource:
            return State.CLOSED
        return State.CLOSING if self.outbox.shut else State.OPEN

    def close(self, code: int, reason: str, *, mute: bool = False) -> bool:
        """Queue a close frame behind everything; from now on only the peer's is looked for."""
        self.inbox.muted |= mute
        if not self.outbox.put_close(close_frame(code, reason)):
            return False
        if self.ended is not None:
            self._finish()
            return True
        events = self.connection.close()
        self._set_deadline(close_by=True)
        self.inbox.paused = self.connection.deadlines.paused = False
        if not self.eof:
            # Its close frame may sit behind data that was left unread.
            self._watch(self.interest | READ)
        for event in events:
            if isinstance(event, Ended):
                self._note_end(event)
                self._deliver_end()
        return True

    def reject(self, code: int, reason: str) -> bool:
        self.outbox.drop_unsent()
        return self.close(code, reason, mute=True)

    def abort(self, reason: str, *, mute: bool) -> bool:
        """Reset the connection now."""
        self.inbox.muted |= mute
        if self.sock is None:
            return False
        self._dispose(reset=True)
        self.lost(reason)
        return True

    def gone(self) -> Signal:
        if self._gone is None:
            self._gone = Signal()
            if self.sock is None:
                self._gone.fire()
        return self._gone

    def measure_latency(self) -> Signal | None:
        payload = urandom(8)
        if not self.outbox.put_urgent(control_frame(PING, payload)):
            return None
        signal = Signal()
        self._measuring = self._measuring or {}
        self._measuring[payload] = signal, self.reactor.clock()
        return signal

    def statistics(self) -> ClientStatistics:
        inbox, outbox = self.inbox, self.outbox
        return ClientStatistics(
            messages_received=inbox.received,
            messages_waiting=inbox.waiting,
            octets_sent=outbox.octets_sent,
            octets_waiting=outbox.octets,
            messages_dropped=outbox.dropped,
            latency=self.connection.deadlines.latency,
        )

    # What the outbox tells

    def _send_encrypted(self, data: bytes | memoryview) -> int:
        assert self.tls is not None
        taken = self.tls.send(data)
        if self.tls.unsent:
            self.blocked(progress=True)
        return taken

    def blocked(self, *, progress: bool) -> None:
        """Note that the kernel refuses octets, and have it tell when it takes some."""
        deadlines = self.connection.deadlines
        if self.sock is not None and (deadlines.blocked_at is None or progress):
            deadlines.blocked_at = self.reactor.clock()
            self._kernel_mark = unsent_in_kernel(self.sock) or 0
        self._watch(self.interest | WRITE)
        self.reactor.schedule(self)

    def _writable(self) -> None:
        try:
            if self.tls is not None and not self.tls.pump():
                self.blocked(progress=True)
                return
        except OSError:
            self.lost()
            return
        if self.outbox.items:
            self.outbox.flush()
        else:
            self.unblocked()
            self.emptied()

    def unblocked(self) -> None:
        if self.tls is not None and self.tls.unsent:
            return
        deadlines = self.connection.deadlines
        deadlines.blocked_at = None
        if deadlines.ping_at is not None:
            # The ping may have waited behind a large frame all the time: ask anew.
            deadlines.ping_at = None
            deadlines.heard_at = self.reactor.clock()
        self._watch(self.interest & ~WRITE)

    def emptied(self) -> None:
        if self.outbox.shut and self.end_delivered and not (self.tls is not None and self.tls.unsent):
            self._shut_sending()

    def broken(self) -> None:
        self.lost()

    def overflowed(self) -> None:
        logger.info("%s: outbox full; the client is disconnected", self.name)
        self.abort("outbox full", mute=True)

    def _watch(self, interest: int) -> None:
        if interest != self.interest and self.sock is not None:
            self.interest = interest
            self.reactor.poller.watch(self.fd, interest)
