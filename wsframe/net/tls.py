"""TLS as a codec between a socket and a link, with a plain socket's two calls.

Not ``ssl.SSLSocket``: after a write that would block, OpenSSL insists on the very same
bytes next, so a pong that overtakes, or a dropped message, would corrupt the stream. An
``SSLObject`` between two memory buffers takes each frame whole or not at all.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsframe.net.sockets import Endpoint

__all__ = ["TLSCodec", "default_context", "naming_no_tls"]

# Ciphertext that can wait unsent: then no more plaintext is taken.
MAX_UNSENT = 64 * 1024
# A record in progress (16 KiB and its overhead) and this much ciphertext hold less
# plaintext than one receive buffer of 64 KiB, so each read can hand over all of it.
READ_AT_ONCE = 40 * 1024
# Each record costs 3 us, also one of a single byte, of which 40 KiB hold 1 780. So a peer whose records
# are as small as that is read in small pieces, and so is one that has not shown yet how large they are.
LEAST_AT_ONCE = 4 * 1024
MANY_RECORDS = 256


class TLSCodec:
    """One TLS connection over a non-blocking socket, or another; its calls raise the errors of a socket's.

    Args:
        sock: The socket that carries it.
        context: The keys and the trusted certificates.
        server_hostname: The name that the certificate must be for; given, this is the client's side.
    """

    __slots__ = ("_at_once", "_incoming", "_object", "_outgoing", "_sock", "_unsent")

    def __init__(self, sock: Endpoint | TLSCodec, context: ssl.SSLContext, server_hostname: str | None = None) -> None:
        self._sock = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        forbid_renegotiation(context)
        self._object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_hostname is None, server_hostname=server_hostname
        )
        self._unsent = b""
        self._at_once = LEAST_AT_ONCE

    def handshake(self) -> bool:
        """Go on with the handshake as far as the bytes received allow; return whether it is done.

        Raises:
            OSError: When the handshake fails; its alert is sent if the kernel takes it.
        """
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            self.pump()
            return False
        except ssl.SSLError:
            self.pump()
            raise
        self.pump()
        return True

    @property
    def peer_certificate(self) -> dict[str, Any] | None:
        """The peer's certificate as :meth:`ssl.SSLSocket.getpeercert` has it; None for one that was not checked."""
        return self._object.getpeercert() or None

    @property
    def peer_certificate_der(self) -> bytes | None:
        """The bytes of the peer's certificate; None without one."""
        return self._object.getpeercert(binary_form=True)

    @property
    def alpn(self) -> str | None:
        """The protocol agreed on by ALPN (RFC 7301); None without one."""
        return self._object.selected_alpn_protocol()

    def feed(self, data: bytes) -> None:
        """Take ciphertext that the caller has read; empty for EOF."""
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def recv_into(self, buffer: memoryview, most: int = READ_AT_ONCE) -> int:
        """Read at most this much ciphertext and decrypt into ``buffer``; 0 is the end, with close_notify or without."""
        received = self._sock.recv_into(buffer, min(most, self._at_once))
        if not received:
            return 0
        self._incoming.write(buffer[:received])
        count = self.decrypt(buffer)
        if self._outgoing.pending:  # a key update or an alert of our own
            self.pump()
        if count is None:
            raise BlockingIOError
        return count

    def decrypt(self, buffer: memoryview) -> int | None:
        """Decrypt all there is; None if there is nothing, 0 at the end.

        For the caller that fed bytes itself: the handshake's last may have data after them.
        """
        count = records = 0
        try:
            while count < len(buffer):
                got = self._object.read(len(buffer) - count, buffer[count:])
                if not got:
                    break
                count += int(got)
                records += 1
                # To read on until OpenSSL refuses would cost as much as the record: its error is an exception.
                if not self._incoming.pending and not self._object.pending():
                    break
        except ssl.SSLWantReadError:
            return count or None
        except ssl.SSLZeroReturnError:
            return count
        except ssl.SSLError:
            if not count:
                raise
        finally:
            self._at_once = LEAST_AT_ONCE if records > MANY_RECORDS else min(2 * self._at_once, READ_AT_ONCE)
        return count

    def send(self, data: bytes | memoryview) -> int:
        """Encrypt and send; return how much plaintext was taken.

        Raises:
            BlockingIOError: While earlier ciphertext waits for the kernel.
        """
        if 0 < len(data) <= MAX_UNSENT and not self._unsent and not self._outgoing.pending:
            taken = int(self._object.write(data))
            self.pump()
            return taken
        view = memoryview(data)
        taken = 0
        while taken < len(view):
            if not self.pump():
                break
            taken += self._object.write(view[taken : taken + MAX_UNSENT])
        done = self.pump()
        if not done and not taken:
            raise BlockingIOError
        return taken

    @property
    def undecrypted(self) -> bool:
        """Whether there are bytes that have been received and not been read."""
        return self._incoming.pending > 0 or self._object.pending() > 0

    @property
    def unsent(self) -> bool:
        """Whether ciphertext waits for the kernel."""
        return bool(self._unsent) or self._outgoing.pending > 0

    @property
    def waiting(self) -> int:
        """Bytes of ciphertext that wait for the kernel."""
        return len(self._unsent) + self._outgoing.pending

    def drop_unsent(self) -> None:
        """Forget ciphertext that can no longer be sent."""
        self._unsent = b""
        self._outgoing.read()

    def pump(self) -> bool:
        """Hand ciphertext to the kernel; return whether all of it went."""
        outgoing = self._outgoing
        while self._unsent or outgoing.pending:
            data = self._unsent = self._unsent or outgoing.read(MAX_UNSENT)
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                return False
            self._unsent = data[sent:] if sent < len(data) else b""
        return True

    def close_notify(self) -> None:
        """Say that nothing more will be sent (RFC 8446 section 6.1)."""
        with suppress(ssl.SSLError):  # the peer's close_notify is not waited for
            self._object.unwrap()
        self.pump()


# The number; the attribute of Python's class makes two enums of it, for each connection.
OPTIONS: Any = vars(ssl.SSLContext.__mro__[1]).get("options")
NO_RENEGOTIATION = int(ssl.OP_NO_RENEGOTIATION)


def forbid_renegotiation(context: ssl.SSLContext) -> None:
    """Have peers not repeat the costly handshake, which they could at will in TLS 1.2."""
    if OPTIONS is None or not OPTIONS.__get__(context) & NO_RENEGOTIATION:
        context.options |= ssl.OP_NO_RENEGOTIATION


# Python's default context depends on these: where certificates are, and where to log keys.
ENVIRONMENT = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def default_context() -> ssl.SSLContext:
    """Return a client's context as Python makes it by default, one for all: reading the certificates takes 17 ms."""
    return context_in(tuple(map(os.environ.get, ENVIRONMENT)))


@lru_cache(maxsize=1)
def context_in(environment: tuple[str | None, ...]) -> ssl.SSLContext:
    return ssl.create_default_context()


# OpenSSL's reasons where the answer to a ClientHello is not TLS; the last one since 3.2.
NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"})


@contextmanager
def naming_no_tls(cause: str) -> Iterator[None]:
    """Give the cause as the text of the error where a server does not speak TLS."""
    try:
        yield
    except ssl.SSLError as error:
        if error.reason not in NO_TLS:
            raise
        raise ssl.SSLError(error.errno, f"{cause} ({error.reason})") from None
