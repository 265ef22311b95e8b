"""A connected socket, with TLS or without: reading and writing that never wait, and waiting apart from them.

So no cancellation comes between a part of a frame and its rest: only the waiting can be
cancelled, and it moves no bytes.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress

import trio

from wsframe.net.malloc import keep_freed_memory
from wsframe.net.socket_options import close_for_good, tune, unsent_in_kernel
from wsframe.net.tls import READ_AT_ONCE, TLSCodec
from wsframe.outgoing.hosts import server_name

__all__ = ["Transport"]

# Room for the plaintext of one read, also where TLS within TLS hands on the rests of two records together.
RECEIVE_BUFFER = 128 * 1024

# Bytes and seconds that are still read after our end; then the connection is closed all the same.
MOST_FAREWELL = 64 * 1024
FAREWELL = 1.0

# One buffer for all connections of a run: a read fills and empties it without waiting.
shared_buffer: trio.lowlevel.RunVar[bytearray] = trio.lowlevel.RunVar("wsframe receive buffer")


class Transport:
    """One socket.

    Args:
        sock: Connected; it belongs to the transport from now on.
    """

    __slots__ = ("_buffer", "_codecs", "_top", "_view", "sock")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock: socket.socket | None = sock
        self._codecs: list[TLSCodec] = []
        self._top: socket.socket | TLSCodec = sock
        try:
            self._buffer = shared_buffer.get()
        except LookupError:
            keep_freed_memory()
            self._buffer = bytearray(RECEIVE_BUFFER)
            shared_buffer.set(self._buffer)
        self._view = memoryview(self._buffer)

    def tune(self, unsent_low_water: int, write_stall: float) -> None:
        """Set the options of the socket."""
        assert self.sock is not None
        tune(self.sock, unsent_low_water, write_stall)

    @property
    def secure(self) -> bool:
        """Whether it has TLS."""
        return bool(self._codecs)

    def recv(self, most: int = RECEIVE_BUFFER) -> bytearray:
        """Return bytes that are here, at most that many; empty at the end.

        Raises:
            BlockingIOError: If nothing has come yet.
            OSError: If the connection is broken.
        """
        count = self._top.recv_into(self._view, min(most, READ_AT_ONCE) if self._codecs else most)
        return self._buffer[:count]

    def send(self, data: bytes | memoryview) -> int:
        """Hand over bytes; return how many the kernel or TLS took.

        Raises:
            BlockingIOError: If it took nothing.
            OSError: If the connection is broken.
        """
        return self._top.send(data)

    @property
    def unsent(self) -> bool:
        """Whether ciphertext waits for the kernel."""
        return bool(self._codecs) and any(codec.unsent for codec in self._codecs)

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

    def unsent_in_kernel(self) -> int | None:
        """Return the bytes that the peer has not acknowledged; None where that is unknown."""
        return None if self.sock is None else unsent_in_kernel(self.sock)

    async def readable(self) -> None:
        """Wait until :meth:`recv` may have something.

        Raises:
            trio.ClosedResourceError: If it is closed in the meantime.
        """
        if self.sock is None:
            raise trio.ClosedResourceError
        await trio.lowlevel.wait_readable(self.sock)

    async def writable(self) -> None:
        """Wait until the kernel takes bytes.

        Raises:
            trio.ClosedResourceError: If it is closed in the meantime.
        """
        if self.sock is None:
            raise trio.ClosedResourceError
        await trio.lowlevel.wait_writable(self.sock)

    async def send_all(self, data: bytes) -> None:
        """Send all bytes, and wait where needed; for the time before the first frame.

        Raises:
            OSError: If the connection breaks.
        """
        rest = memoryview(data)
        while rest or self.unsent:
            try:
                if self.pump() and rest:
                    rest = rest[self.send(rest) :]
                    continue
            except BlockingIOError:
                pass
            if rest or self.unsent:
                await self.writable()

    async def receive_some(self, most: int = RECEIVE_BUFFER) -> bytes:
        """Wait for bytes and return at most that many; empty at the end.

        Raises:
            OSError: If the connection breaks.
        """
        while True:
            await self.readable()
            try:
                return bytes(self.recv(most))
            except BlockingIOError:  # part of a record
                continue

    async def start_tls(self, context: ssl.SSLContext, hostname: str) -> None:
        """Do the TLS handshake, within TLS if there is TLS already; the name can end in a dot.

        Raises:
            OSError: If it fails: ``ssl.SSLCertVerificationError`` for a certificate that is not trusted.
        """
        below = self._top
        codec = TLSCodec(below, context, server_name(hostname))
        while not codec.handshake():
            while not (codec.pump() and self.pump()):
                await self.writable()
            await self.readable()
            try:
                count = below.recv_into(self._view, READ_AT_ONCE)
            except BlockingIOError:
                continue
            codec.feed(bytes(self._view[:count]))
        self._codecs.append(codec)
        self._top = codec

    async def close_in_order(self) -> None:
        """End our direction, read until the peer has ended its own, and close.

        If we closed immediately, the kernel would answer later bytes of the peer with a reset, which is an
        error to servers that had answered properly. The peer has one second and 64 KiB for it.
        """
        try:
            with trio.move_on_after(FAREWELL), suppress(OSError, trio.ClosedResourceError):
                self._notify_close()
                if self.sock is not None:
                    self.sock.shutdown(socket.SHUT_WR)
                await self._discard(MOST_FAREWELL)
        finally:
            self.close()

    async def _discard(self, most: int) -> None:
        """Read past TLS and forget, until the end or at most that many bytes."""
        while most > 0:
            await self.readable()
            assert self.sock is not None
            with suppress(BlockingIOError):
                count = self.sock.recv_into(self._view, most)
                most = most - count if count else 0

    def _notify_close(self) -> None:
        with suppress(OSError):  # it is broken: nobody would receive it
            for codec in reversed(self._codecs):
                codec.close_notify()

    def close(self, *, reset: bool = False) -> None:
        """Close the socket; waiting tasks get an exception. Closing twice does no harm."""
        if self.sock is None:
            return
        if not reset:
            self._notify_close()
        sock, self.sock = self.sock, None
        trio.lowlevel.notify_closing(sock)
        close_for_good(sock, reset=reset)
