"""The socket of one client: which readiness is watched, which bytes the kernel takes, how it is closed."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from wsframe.net.poller import END, READ, WRITE
from wsframe.net.socket_options import close_for_good, unsent_in_kernel
from wsframe.net.sockets import has_unread

if TYPE_CHECKING:
    from wsframe.net.poller import Poller
    from wsframe.net.sockets import Endpoint
    from wsframe.net.tls import TLSCodec

__all__ = ["ClientSocket"]


class ClientSocket:
    """A connected socket, with TLS or without, and the readiness that the poller reports for it.

    Nothing in here waits, and after :meth:`close` everything does nothing.

    Args:
        sock: Connected and non-blocking, and in the poller for READ; it belongs to this object from now on.
        tls: The codec after its handshake, or None.
        poller: Reports its readiness.
    """

    __slots__ = ("_poller", "_tls", "eof", "fd", "interest", "recv_into", "send", "sock")

    def __init__(self, sock: Endpoint, tls: TLSCodec | None, poller: Poller) -> None:
        self.sock: Endpoint | None = sock
        """The socket; None once it is closed."""
        self._tls = tls
        self._poller = poller
        self.fd = sock.fileno()
        self.recv_into = (tls or sock).recv_into
        """Reads without waiting; raises BlockingIOError when nothing is there, another OSError when it is broken."""
        self.send = (tls or sock).send
        """Takes bytes without waiting and returns how many; raises as ``recv_into`` does."""
        self.interest = READ
        self.eof = False
        """Whether the peer has shut its sending side."""

    @property
    def open(self) -> bool:
        """Whether it has not been closed."""
        return self.sock is not None

    @property
    def secure(self) -> bool:
        """Whether it has TLS."""
        return self._tls is not None

    @property
    def by_descriptor(self) -> bool:
        """Whether the descriptor carries the connection's bytes as they are: a real socket without TLS."""
        return self._tls is None and isinstance(self.sock, socket.socket)

    @property
    def unsent(self) -> bool:
        """Whether ciphertext waits for the kernel."""
        return self._tls is not None and self._tls.unsent

    def pump(self) -> bool:
        """Hand waiting ciphertext to the kernel; return whether all of it went.

        Raises:
            OSError: If the connection is broken.
        """
        return self._tls is None or self._tls.pump()

    def drop_unsent(self) -> None:
        """Forget ciphertext that can no longer be sent."""
        if self._tls is not None:
            self._tls.drop_unsent()

    def in_kernel(self) -> int | None:
        """Return the bytes that the peer has not acknowledged; None where that is not known."""
        return None if self.sock is None else unsent_in_kernel(self.sock)

    def has_unread(self) -> bool:
        """Return whether bytes of the peer, or its reset, wait in the kernel; its end alone does not count."""
        return self.sock is not None and has_unread(self.sock)

    def read_on(self) -> None:
        """Have the poller report that there is something to read."""
        self._watch((self.interest & WRITE) | READ)

    def read_no_more(self, *, tell_end: bool = False) -> None:
        """Leave the peer's bytes to the kernel; with ``tell_end`` the poller still reports the end of the peer."""
        self._watch((self.interest & WRITE) | (END if tell_end else 0))

    def await_room(self, *, wanted: bool) -> None:
        """Have the poller report, or no longer report, that the kernel takes bytes again."""
        self._watch(self.interest | WRITE if wanted else self.interest & ~WRITE)

    def only_read(self) -> None:
        """Have the poller report nothing but bytes and the end of the peer."""
        self._watch(READ)

    def _watch(self, interest: int) -> None:
        if interest != self.interest and self.sock is not None:
            self.interest = interest
            self._poller.watch(self.fd, interest)

    def forget(self) -> None:
        """Take it out of the poller, which would report a socket that is shut both ways without end."""
        self._poller.forget(self.fd)

    def shut_sending(self) -> None:
        """Shut the sending side: the peer learns that no more bytes will come.

        Raises:
            OSError: If the peer has gone already.
        """
        if self.sock is not None:
            if self._tls is not None:
                self._tls.close_notify()
            self.sock.shutdown(socket.SHUT_WR)

    def release(self) -> Endpoint:
        """Give the open socket away; it belongs to the caller, and everything here does nothing from now on."""
        assert self.sock is not None
        sock, self.sock = self.sock, None
        return sock

    def close(self, *, reset: bool) -> None:
        """Close it, once it is out of the poller. A reset leaves nothing in the kernel."""
        sock, self.sock = self.sock, None
        if sock is not None:
            close_for_good(sock, reset=reset)
