"""The socket of one client: which readiness is watched, what the kernel takes, how it is closed."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from wsframe.net.poller import END, READ, WRITE
from wsframe.net.socket_options import close_for_good, keep_alive, unsent_in_kernel

if TYPE_CHECKING:
    from wsframe.connection.dialect import AnyDecoder
    from wsframe.connection.handover import Arrival
    from wsframe.connection.reactor import Reactor
    from wsframe.net.sockets import Endpoint

__all__ = ["Wire"]


class Wire(ABC):
    """A socket with its protocol state and its outbox; the lowest part of a link."""

    __slots__ = (
        "connection", "eof", "fd", "interest",
        "octets_received", "outbox", "raw_fd", "reactor", "recv_into", "sock", "tls",
    )  # fmt: skip

    def __init__(self, arrival: Arrival, reactor: Reactor) -> None:
        self.reactor = reactor
        self.sock: Endpoint | None = arrival.sock
        self.tls = arrival.tls
        self.fd = arrival.sock.fileno()
        self.raw_fd = self.fd if arrival.tls is None and isinstance(arrival.sock, socket.socket) else -1
        """The descriptor, where nothing stands between it and the octets; -1 with TLS, and once it is closed."""
        self.recv_into = (arrival.tls or arrival.sock).recv_into
        self.interest = READ
        self.octets_received = 0
        self.eof = False
        """Whether the peer has shut its sending side."""
        host = arrival.host
        send = arrival.sock.send if arrival.tls is None else self._send_encrypted
        dialect = arrival.dialect
        self.outbox = dialect.outbox(
            send, self, host.limits.max_outbox, host.resource.overflow, reactor.flusher, self.raw_fd
        )
        self.connection: AnyDecoder = dialect.decoder(host.limits, host.timeouts, reactor.clock(), arrival.terms)
        if not dialect.has_pings:
            self.raw_fd = -1
            keep_alive(arrival.sock, host.timeouts.ping_interval, host.timeouts.ping_timeout)

    @abstractmethod
    def lost(self, reason: str = "connection lost") -> None:
        """Give up a socket that is broken."""

    @abstractmethod
    def abort(self, reason: str, *, mute: bool) -> bool:
        """Reset the connection now."""

    @abstractmethod
    def emptied(self) -> None:
        """Go on with an ending that waits for the outbox."""

    @abstractmethod
    def overflowed(self) -> None:
        """Disconnect a client that does not read."""

    @property
    def unsent(self) -> bool:
        """Whether anything waits for the kernel."""
        return bool(self.outbox.items) or (self.tls is not None and self.tls.unsent)

    def broken(self) -> None:
        """Send no more. What the peer sent before it went is still read; its end shows there."""
        self.outbox.give_up()
        if self.tls is not None:
            self.tls.drop_unsent()  # or the ending would wait for it
        self.connection.deadlines.blocked_at = None
        self.watch(self.interest & ~WRITE)
        self.emptied()

    def watch(self, interest: int) -> None:
        if interest != self.interest and self.sock is not None:
            self.interest = interest
            self.reactor.poller.watch(self.fd, interest)

    def read_on(self) -> None:
        self.watch((self.interest & WRITE) | READ)

    def read_no_more(self, *, tell_end: bool = False) -> None:
        """Leave what comes to the kernel; with ``tell_end`` only the end of the peer is looked for."""
        self.watch((self.interest & WRITE) | (END if tell_end else 0))

    def _send_encrypted(self, data: bytes | memoryview) -> int:
        assert self.tls is not None
        taken = self.tls.send(data)
        if self.tls.unsent:
            self.blocked(progress=True)
        return taken

    def blocked(self, *, progress: bool) -> None:
        """Note that the kernel refuses octets, and have it tell when it takes some."""
        if self.sock is not None:
            self.connection.deadlines.block(self.reactor.clock(), unsent_in_kernel(self.sock), progress=progress)
        self.watch(self.interest | WRITE)
        self.reactor.schedule(self.fd)

    def writable(self) -> None:
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
        self.connection.deadlines.unblock(self.reactor.clock())
        self.watch(self.interest & ~WRITE)

    def check_stall(self) -> None:
        """Abort a peer that takes nothing."""
        left = None if self.sock is None else unsent_in_kernel(self.sock)
        if self.connection.deadlines.stalled(self.reactor.clock(), left):
            self.abort("write stall", mute=False)

    def shut_sending(self) -> None:
        """Tell the peer that no more will come.

        Raises:
            OSError: If the peer has gone already.
        """
        if self.sock is not None:
            if self.tls is not None:
                self.tls.close_notify()
            self.sock.shutdown(socket.SHUT_WR)

    def close_socket(self, *, reset: bool) -> bool:
        """Close the socket; return whether it was open. A reset leaves nothing in the kernel."""
        sock, self.sock = self.sock, None
        self.raw_fd = -1
        if sock is None:
            return False
        self.reactor.forget(self.fd)
        close_for_good(sock, reset=reset)
        self.outbox.give_up()
        return True
