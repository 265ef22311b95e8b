"""A connected socket, with TLS or without: reading and writing that never wait, and waiting apart from them.

So no cancellation comes between a part of a frame and its rest: only the waiting can be cancelled, and it
moves no bytes. Newcomers and outgoing connections wait here; once a reactor has a connection it never waits.
"""

from __future__ import annotations

import errno
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn

import trio

from wsframe.net.socket_options import acknowledge, close_for_good, tune, unsent_in_kernel
from wsframe.net.sockets import Endpoint, notify_closing, wait_readable, wait_writable
from wsframe.net.tls import TLSCodec

__all__ = ["FAREWELL", "Transport", "transport_of"]

# Bytes of one read before the first frame; a head of a request or an answer seldom has more.
MOST_AT_ONCE = 16 * 1024
# Bytes of one read during a handshake: more than most hellos and certificates have.
FOR_HANDSHAKE = 4 * 1024
# Room for the plaintext of one read, also where TLS within TLS hands on the rests of two records together.
ROOM = 64 * 1024
# Seconds for the peer to end its side after ours: unread bytes would turn the close into a reset, which can
# overtake our last bytes, and is an error to servers that had answered properly.
FAREWELL = 1.0
MOST_FAREWELL = 64 * 1024


class Transport:
    """One socket, with as many layers of TLS as were started on it.

    After :meth:`close` and :meth:`release` nothing is unsent, and waiting tasks get an exception.

    Args:
        sock: Connected and non-blocking; it belongs to the transport from now on.
    """

    __slots__ = ("_awaited", "_codecs", "_shut", "heard", "sock", "tuned")

    def __init__(self, sock: Endpoint) -> None:
        self.sock: Endpoint | None = sock
        """The socket; None once it is closed or given away."""
        self._codecs: tuple[TLSCodec, ...] = ()
        self._awaited = False
        """Whether a task has waited for the socket."""
        self._shut = False
        """Whether our sending side is shut."""
        self.heard: bool = False
        """Whether the peer sent anything before the first frame."""
        self.tuned: tuple[int, float] | None = None
        """The values that the socket has been tuned to."""

    @property
    def secure(self) -> bool:
        """Whether it has TLS, or is about to."""
        return bool(self._codecs)

    @property
    def tls(self) -> TLSCodec | None:
        """The innermost TLS, whose peer answers."""
        return self._codecs[-1] if self._codecs else None

    @property
    def recv_into(self) -> Callable[..., int]:
        """Reads without waiting; 0 is the end. Raises BlockingIOError if nothing has come, another OSError if the
        connection is broken."""
        return (self._codecs[-1] if self._codecs else self.sock or closed()).recv_into

    @property
    def send(self) -> Callable[[bytes | memoryview], int]:
        """Takes bytes without waiting and returns how many; raises as ``recv_into`` does."""
        return (self._codecs[-1] if self._codecs else self.sock or closed()).send

    @property
    def by_descriptor(self) -> bool:
        """Whether the descriptor carries the connection's bytes as they are: a real socket without TLS."""
        return not self._codecs and isinstance(self.sock, socket.socket)

    def tune(self, unsent_low_water: int, write_stall: float | None) -> None:
        """Set the options of a socket that frames go through; ``write_stall`` None has its peer wait for others."""
        if self.sock is not None and self.tuned != (unsent_low_water, write_stall):
            tune(self.sock, unsent_low_water, write_stall)

    @property
    def unsent(self) -> bool:
        """Whether ciphertext waits for the kernel."""
        for codec in self._codecs:  # noqa: SIM110 (asked after each message, and a generator takes as long as sending)
            if codec.unsent:
                return True
        return False

    @property
    def waiting(self) -> int:
        """Bytes of ciphertext that wait for the kernel."""
        return sum(codec.waiting for codec in self._codecs)

    def pump(self) -> bool:
        """Hand ciphertext to the kernel; return whether all of it went.

        Raises:
            OSError: If the connection is broken.
        """
        for codec in reversed(self._codecs):
            codec.pump()
        return not self.unsent

    def drop_unsent(self) -> None:
        """Forget ciphertext that can no longer be sent."""
        for codec in self._codecs:
            codec.drop_unsent()

    def in_kernel(self) -> int | None:
        """Return the bytes that the peer has not acknowledged; None where that is unknown."""
        return None if self.sock is None else unsent_in_kernel(self.sock)

    def readable(self) -> Awaitable[None]:
        """Wait until the peer has sent something, or has ended.

        Raises:
            trio.ClosedResourceError: If it is closed in the meantime.
        """
        if self.sock is None:
            raise trio.ClosedResourceError
        self._awaited = True
        return wait_readable(self.sock)

    def writable(self) -> Awaitable[None]:
        """Wait until the kernel takes bytes.

        Raises:
            trio.ClosedResourceError: If it is closed in the meantime.
        """
        if self.sock is None:
            raise trio.ClosedResourceError
        self._awaited = True
        return wait_writable(self.sock)

    # Before the first frame

    async def start_tls(self, context: ssl.SSLContext, hostname: str | None = None, early: bytes = b"") -> None:
        """Do the TLS handshake, within TLS if there is TLS already.

        Args:
            context: The keys and the trusted certificates.
            hostname: The name that the server's certificate must be for; None on the server's side.
            early: Bytes of TLS that were received before.

        Raises:
            OSError: If it fails: ``ssl.SSLCertVerificationError`` for a certificate that is not trusted.
        """
        assert self.sock is not None
        below = self._codecs[-1] if self._codecs else self.sock
        codec = TLSCodec(below, context, hostname)
        self._codecs = (*self._codecs, codec)
        if early:
            codec.feed(early)
        due = hostname is not None or bool(early)  # a server has nothing to say before the ClientHello
        while not (due and codec.handshake()):
            while not self.pump():
                await self.writable()
            try:
                data = plaintext_of(below) if isinstance(below, TLSCodec) else below.recv(FOR_HANDSHAKE)
            except BlockingIOError:
                data = None
            if data is None:
                await self.readable()  # not in the handler: its exception would hold the memory of the read
            else:
                self.heard = self.heard or bool(data)
                codec.feed(data)
            due = data is not None
        if hostname is None:
            acknowledge(self.sock)  # a handshake that was cut short ends with the client, which sends its request next

    def receive_now(self, most: int = MOST_AT_ONCE) -> bytes:
        """Return bytes that are here, at most that many without TLS; empty at the end.

        Raises:
            BlockingIOError: If nothing has come yet.
            OSError: If the connection is broken.
        """
        assert self.sock is not None
        if not self._codecs:
            return self.sock.recv(most)
        view, codec = memoryview(bytearray(ROOM)), self._codecs[-1]
        count = codec.decrypt(view) if codec.undecrypted else None  # the handshake may have read more than its own
        return bytes(view[: self.recv_into(view, most) if count is None else count])

    async def receive_some(self, most: int = MOST_AT_ONCE) -> bytes:
        """Return bytes, at most that many without TLS; waits only if nothing has come yet. Empty at the end.

        Raises:
            OSError: If the connection breaks.
        """
        while True:
            with suppress(BlockingIOError):  # with TLS also after a part of a record
                data = self.receive_now(most)
                self.heard = self.heard or bool(data)
                return data
            await self.readable()

    async def send_all(self, data: bytes) -> None:
        """Send all bytes, with TLS all of their ciphertext, and wait where needed.

        Raises:
            OSError: If the connection breaks.
        """
        rest = memoryview(data)
        while True:
            with suppress(BlockingIOError):
                rest = rest[self.send(rest) :]
            if not rest and self.pump():
                return
            await self.writable()

    async def await_end(self, most: int = sys.maxsize) -> None:
        """End our direction, and read until the peer has ended its own: for a second, and at most that many bytes.

        Raises:
            OSError: If the connection is broken.
        """
        with trio.move_on_after(FAREWELL):
            self.shut_sending()
            while most > 0:
                await self.readable()
                assert self.sock is not None
                with suppress(BlockingIOError):
                    count = len(self.sock.recv(min(most, MOST_AT_ONCE)))  # below TLS: whatever it says
                    most = most - count if count else 0

    async def end_and_close(self) -> None:
        """End in order, after at most a second and 64 KiB more of the peer."""
        try:
            with suppress(OSError, trio.ClosedResourceError):
                await self.await_end(MOST_FAREWELL)
        finally:
            self.close()

    # The end

    def _notify_close(self) -> None:
        with suppress(OSError):  # it is broken: nobody would receive it
            for codec in reversed(self._codecs):
                codec.close_notify()

    def shut_sending(self) -> None:
        """Shut the sending side: the peer learns that no more bytes will come.

        Raises:
            OSError: If the peer has gone already.
        """
        if self.sock is not None:
            if self._codecs:
                self._notify_close()
            self.sock.shutdown(socket.SHUT_WR)
            self._shut = True

    def release(self) -> Endpoint:
        """Give the open socket away; it belongs to the caller."""
        assert self.sock is not None
        sock, self.sock = self.sock, None
        return sock

    def close(self, *, reset: bool = False, eof: bool = False) -> None:
        """Close the socket; waiting tasks get an exception. Closing twice does no harm.

        Args:
            reset: Whether to reset the connection, which leaves nothing in the kernel.
            eof: Whether the peer has shut its side.
        """
        if self.sock is None:
            return
        ended = eof and self._shut
        if self._codecs and not reset and not ended:
            self._notify_close()
        sock, self.sock = self.sock, None
        if self._awaited:
            notify_closing(sock)
        close_for_good(sock, reset=reset, ended=ended)


def closed() -> NoReturn:
    raise OSError(errno.EBADF, "the connection is closed")


def plaintext_of(codec: TLSCodec) -> bytes:
    """Read once, into a buffer that nothing holds while its reader waits for more."""
    view = memoryview(bytearray(ROOM))
    return bytes(view[: codec.recv_into(view)])


def transport_of(sock: trio.socket.SocketType) -> Transport:
    """Take a socket out of trio's, which is of no use from now on."""
    bare = socket.socket(fileno=sock.detach())
    bare.setblocking(False)
    return Transport(bare)
