"""How a link ends: in order, whoever begins.

``ended`` is set once, by the peer's close frame, a violation, EOF, a reset or a
deadline, and travels through the mailbox behind the client's messages. When the listener
gets to it, it calls ``answer``: the close frame we owe goes out behind the replies. Then
the sending side is shut, and the socket lingers until the peer has shut its own, so that
no reset overtakes the close frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wsframe.connection.client_socket import Wire
from wsframe.doorbell import Signal
from wsframe.http.request import peer_name
from wsframe.log import escaped, logger, shortened
from wsframe.net.poller import READ
from wsframe.net.socket_options import unsent_in_kernel
from wsframe.protocol.close import CloseCode, close_frame
from wsframe.protocol.deadlines import Patience
from wsframe.protocol.events import Ended
from wsframe.resources.client import Client

if TYPE_CHECKING:
    from wsframe.connection.handover import Arrival
    from wsframe.connection.mailbox import Inbox
    from wsframe.connection.reactor import Reactor

__all__ = ["Ending"]

# What one read takes at most. So much undecoded from one client is borne beyond the budget of all.
RECEIVE_BUFFER = 64 * 1024

# How often to ask whether a peer that has shut its side has taken everything.
LINGER_LOOK = 0.25


class Ending(Wire):
    """A wire with its client, as far as its end is concerned; the middle part of a link."""

    __slots__ = (
        "_first",
        "_gone",
        "_linger_until",
        "_measuring",
        "_patience",
        "_sent_mark",
        "_undecoded",
        "client",
        "end_delivered",
        "ended",
        "inbox",
        "left_resource",
        "reservation",
    )

    client: Client[Any]
    inbox: Inbox

    def __init__(self, arrival: Arrival, reactor: Reactor) -> None:
        super().__init__(arrival, reactor)
        self.ended: Ended | None = None
        self.end_delivered = False
        self.left_resource = False
        """Whether ``disconnected`` has run."""
        self.reservation = arrival.reservation
        self._gone: Signal | None = None
        self._measuring: dict[bytes, tuple[Signal, float]] | None = None
        """Pings of :meth:`Client.latency`: payload to signal and time sent."""
        self._sent_mark = 0
        self._patience: Patience | None = None
        """With the hooks, which have the end still before them."""
        self._first: object = None
        """The entry that was the mailbox's first when they were last looked at. Another one is their progress, and
        this way nothing has to be noted where messages are taken."""
        self._linger_until = 0.0
        self._undecoded = 0

    @property
    def name(self) -> str:
        """The peer and the path, for log lines."""
        request = self.client.request
        return f"{peer_name(request.host, request.port)} {shortened(request.path)}"

    def _note_end(self, ended: Ended) -> None:
        """Note why the link ends; the first reason holds."""
        if self.ended is not None:
            return
        self.ended = ended
        client = self.client
        client._ended = ended
        if client.resource.cancel_on_disconnect:
            self.inbox.muted = True
        if client._work is not None:
            client._work.cancel()
        if not ended.clean:
            logger.info("%s: closed %s (%s)", self.name, ended.code, escaped(ended.reason), kind=ended.code)

    def _deliver_end(self) -> None:
        """Send the end after the client's messages, once."""
        ended = self.ended
        if ended is None or self.end_delivered:
            return
        self.end_delivered = True
        self.connection.eof()
        self._note_undecoded()
        self.inbox.mailbox.put(self.inbox, ended)
        if self.sock is not None:
            # What comes behind the end is of no use, and its EOF would be reported without end.
            self.read_no_more()
            if self.outbox.shut:
                self._finish()
            else:
                self._await_hooks()

    def _await_hooks(self) -> None:
        """Give the hooks time to reach the end."""
        if self._patience is None:
            self._patience = Patience(self.connection.deadlines.timeouts.close)
        self._first = self.inbox.mailbox.next_entry()
        self._set_close_by(self._patience.step)

    def _set_close_by(self, seconds: float) -> None:
        deadlines = self.connection.deadlines
        deadlines.close_by = self.reactor.clock() + seconds
        if deadlines.close_by < deadlines.scheduled:
            self.reactor.schedule(self.fd)

    def _note_undecoded(self) -> None:
        """Count what is held of messages that have not been decoded."""
        self.reactor.budget.held += self.connection.undecoded - self._undecoded
        self._undecoded = self.connection.undecoded
        if self._undecoded > RECEIVE_BUFFER and self.reactor.budget.exceeded and not self.inbox.paused:
            self.reactor.flusher.doorbell.ring()  # nothing but a reset would stop it from growing

    def held(self) -> int:
        """Return what is counted for this client."""
        return self.inbox.octets + self.outbox.weight + self._undecoded

    def answer(self, ended: Ended) -> None:
        """Send the close frame owed to the peer, behind all replies; called when the hooks have got to the end."""
        if self.sock is None:
            return
        if ended.owed:
            self.outbox.put_close(close_frame(ended.answer, ended.reason))
        self.outbox.shut = True
        self._finish()

    def _finish(self) -> None:
        """Shut the sending side as soon as the outbox is empty."""
        if self.unsent:
            self._set_deadline(close_by=True)
        else:
            self._linger()

    def _linger(self) -> None:
        """Say that no more will come, and wait until the peer has said so too (RFC 6455 section 7.1.1)."""
        if self.sock is None or self.connection.deadlines.linger_by is not None:
            return
        try:
            self.shut_sending()
        except OSError:
            self._dispose()
            return
        self._set_deadline(close_by=False)
        if self.eof:
            self._linger_on()
        else:
            self.watch(READ)

    def _linger_on(self) -> None:
        """Close once the peer has shut its side and taken everything, or reset at the deadline.

        Closed earlier, what is unread would stay in the kernel, with nobody's limit on it.
        """
        if self.sock is None:
            return
        deadlines, now = self.connection.deadlines, self.reactor.clock()
        left = (unsent_in_kernel(self.sock) or 0) > 1  # 1 may be our FIN
        if now >= self._linger_until or (self.eof and not left):
            self._dispose(reset=left)
            return
        deadlines.linger_by = self._linger_until
        if self.eof:
            # Shut both ways, it would be reported as hung up without end, whatever is asked for.
            self.reactor.poller.forget(self.fd)
            deadlines.linger_by = min(now + LINGER_LOOK, self._linger_until)
        self.reactor.schedule(self.fd)

    def _set_deadline(self, *, close_by: bool) -> None:
        deadlines = self.connection.deadlines
        seconds = deadlines.timeouts.close
        if close_by:
            self._sent_mark = self.outbox.octets_sent
            self._set_close_by(seconds)
            return
        deadlines.close_by = None
        deadlines.linger_by = self._linger_until = self.reactor.clock() + seconds
        if self._linger_until < deadlines.scheduled:
            self.reactor.schedule(self.fd)

    def _dispose(self, *, reset: bool = False) -> None:
        """Close the socket and forget it."""
        if self.close_socket(reset=reset):
            self.reactor.octets_sent_before += self.outbox.octets_sent
            self.reactor.octets_received_before += self.octets_received
            if self.inbox.octets:
                self.reactor.departed.add(self)
            for signal, _ in (self._measuring or {}).values():
                signal.fire()
            if self._gone is not None:
                self._gone.fire()
            self._release()

    def left(self) -> None:
        """Note that ``disconnected`` has run."""
        self.left_resource = True
        self.connection.eof()  # where the hooks were cut off, it may hold what has not been decoded
        self._note_undecoded()
        self.reactor.departed.discard(self)
        self._release()

    def _release(self) -> None:
        # Both must be over: a peer that drops in a loop must not pile up lives in the
        # mailbox of a slow resource, nor one that never ends TCP descriptors.
        if self.left_resource and self.sock is None:
            self.reservation.release()

    def gone(self) -> Signal:
        if self._gone is None:
            self._gone = Signal()
            if self.sock is None:
                self._gone.fire()
        return self._gone

    def lost(self, reason: str = "connection lost") -> None:
        """Give up a socket that is broken; messages already here still reach the hooks."""
        self._dispose()
        self._note_end(Ended(CloseCode.ABNORMAL_CLOSURE, reason, clean=False))
        self._hasten_end()

    def _hasten_end(self) -> None:
        """Go on towards an end that came without a close frame: what has been read, decoded or not, is before it."""
        if not self.connection.stopped or self.inbox.muted:
            self._deliver_end()
            return
        if self.sock is not None:
            self._await_hooks()
        if self.connection.deadlines.resume_at is not None:
            # It sent too fast. Nobody is spared by going on slowly, and the timer may have been forgotten with it.
            self.connection.deadlines.resume_at = None
            self.inbox.resume()

    def abort(self, reason: str, *, mute: bool) -> bool:
        """Reset the connection now."""
        self.inbox.muted |= mute
        if self.sock is None:
            return False
        self._dispose(reset=True)
        self.lost(reason)
        return True

    def crashed(self, error: BaseException | None = None) -> None:
        """Give up a link on which our own code failed, with the exception being handled or the one given."""
        logger.error("%s: internal error; the connection is aborted", self.name, exc_info=error or True)
        self.abort("internal error", mute=True)

    def emptied(self) -> None:
        if not self.outbox.shut or self.unsent:
            return
        if self.ended is not None:
            self._linger()
        elif self.connection.deadlines.close_by is not None and self.outbox.octets_sent > self._sent_mark:
            self._set_deadline(close_by=True)  # only now can the peer answer our close frame

    def overflowed(self) -> None:
        logger.info("%s: outbox full; the client is disconnected", self.name)
        self.abort("outbox full", mute=True)

    def _close_overdue(self) -> None:
        if not self.outbox.shut and self.ended is not None:
            progress = self.inbox.mailbox.next_entry() is not self._first
            if self._patience is not None and self._patience.lasts(progress=progress):
                self._await_hooks()
            else:
                self._first = None
                self.answer(self.ended)  # the hooks do not get to the peer's end: it has its answer without them
        elif self.unsent and self.outbox.octets_sent > self._sent_mark:
            self._set_deadline(close_by=True)  # slow, but it moves
        else:
            self.abort("close timeout", mute=False)
