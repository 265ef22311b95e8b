"""A socket that leaves TLS records and frames in pieces, with pauses: the rudeness below a stream of bytes.

The peer of ``tests.wire`` speaks HTTP and WebSocket over a stream of trio, which sends whole TLS records and
refuses a second task that sends. Here the records are at hand between the TLS object and the socket, and several
tasks send at a time. It knows neither heads nor frames: wsproto decodes them, as a second opinion on the server.
"""

import socket
import ssl
from contextlib import suppress
from typing import NamedTuple, Self

import trio

from tests.resets import reset

__all__ = ["Address", "Rough"]

# Of a handshake at the least, in one piece: byte by byte it would take longer than a server waits.
HANDSHAKE_PIECE = 32

RECEIVE_AT_ONCE = 64 * 1024


class Address(NamedTuple):
    """The address of a server, and the certificate by which a client trusts it."""

    port: int
    context: ssl.SSLContext | None


class Rough:
    """A connected socket; its calls raise OSError when the server is gone."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self._sock = sock
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._sending = trio.Lock()
        self.piece = 0
        """Bytes to send at once; 0 for as many as there are."""
        self.pause = 0.0
        """Seconds to wait before each piece."""
        self.shut = False
        """Whether the sending side is."""

    @classmethod
    async def connect(cls, address: Address, *, piece: int = 0, small: bool = False, tls: bool = True) -> Self:
        """Connect.

        Args:
            address: The server's.
            piece: Bytes to send at once.
            small: Whether to receive little at a time, as a peer with a narrow window.
            tls: Whether to do the TLS handshake where there is one to do.
        """
        sock = trio.socket.socket()
        try:
            if small:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await sock.connect(("127.0.0.1", address.port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = cls(sock)
            if tls and address.context is not None:
                peer.piece = piece and HANDSHAKE_PIECE
                await peer._handshake(address.context)
            peer.piece = piece
        except BaseException:
            sock.close()
            raise
        return peer

    async def _handshake(self, context: ssl.SSLContext) -> None:
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="127.0.0.1")
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._send_raw(self._outgoing.read())
                self._feed(await self._sock.recv(RECEIVE_AT_ONCE))
            else:
                await self._send_raw(self._outgoing.read())
                return

    def _feed(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _send_raw(self, data: bytes) -> None:
        async with self._sending:
            step = self.piece or len(data) or 1
            for at in range(0, len(data), step):
                rest = data[at : at + step]
                if self.pause:
                    await trio.sleep(self.pause)
                while rest:
                    rest = rest[await self._sock.send(rest) :]

    async def send_head(self, data: bytes) -> None:
        """Send a request, which has less time than the rest."""
        piece, self.piece = self.piece, self.piece and max(self.piece, HANDSHAKE_PIECE)
        await self.send(data)
        self.piece = piece

    async def send(self, data: bytes) -> None:
        """Send all of ``data``."""
        if self._tls is not None:
            self._tls.write(data)
            data = self._outgoing.read()
        await self._send_raw(data)

    async def receive(self, at_most: int = RECEIVE_AT_ONCE) -> bytes:
        """Return the next bytes; nothing at the end."""
        if self._tls is None:
            return await self._sock.recv(at_most)
        while True:
            try:
                return self._tls.read(at_most)
            except ssl.SSLWantReadError:
                self._feed(await self._sock.recv(at_most))
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def half_close(self) -> None:
        """Send nothing more."""
        self.shut = True
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Vanish with a reset."""
        reset(self._sock)

    def close(self) -> None:
        """Close the socket, whatever is unread."""
        self._sock.close()
