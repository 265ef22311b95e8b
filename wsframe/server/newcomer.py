"""An accepted socket until it has its answer: it receives, sends and ends."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress

import trio

from wsframe.http.request import peer_name
from wsframe.http.responses import FileResponse, Response
from wsframe.log import logger
from wsframe.net.socket_options import unsent_in_kernel
from wsframe.net.sockets import Endpoint, has_ended, wait_readable, wait_writable
from wsframe.net.tls import TLSCodec
from wsframe.server.listen import Bound

__all__ = ["Gone", "Newcomer", "note_gone"]

READ_AT_ONCE = 16 * 1024
# After an answer: for the peer to read it before the socket is closed. Unread data would
# turn the close into a reset, which can overtake the answer.
LINGER = 1.0
# Seconds between two questions to the kernel whether the peer has taken the answer: it sends no event for it.
LOOK_AGAIN = 0.1


class Gone(Exception):
    """The peer has gone before it had its answer."""


class Newcomer:
    """An accepted socket on its way in, with or without TLS.

    Args:
        sock: The socket.
        host, port: The peer's address.
        place: The listening socket that accepted it, with its settings.
        within: Seconds until it has to be in.
    """

    def __init__(self, sock: Endpoint, host: str, port: int, place: Bound, within: float) -> None:
        self.sock = sock
        self.host = host
        self.port = port
        self.name = peer_name(host, port)
        self.place = place
        self.tls = None if place.ssl_context is None else TLSCodec(sock, place.ssl_context)
        self.since = trio.current_time()
        self.scope = trio.CancelScope(deadline=self.since + within)
        self.answered = False
        self.handed_over = False
        """Whether the socket belongs to the reactor now."""
        self.reset = False
        """Whether to reset the socket instead of closing it."""
        self.gone = False
        """Whether the peer has gone while user code decided about it."""
        self.head_received = False
        self.heard = False
        """Whether the peer has sent anything."""
        self.version = 13
        self.nonce = b""
        """The bytes that hixie-76 sends after the head of the request."""
        self.wants_body = True

    async def handshake_tls(self) -> None:
        """Do the TLS handshake, if the server has TLS.

        Raises:
            OSError: When it fails.
        """
        while self.tls is not None and not self.tls.handshake():
            self.tls.feed(await self._receive_raw())

    async def receive(self) -> bytes:
        """Return the next bytes of the peer; none at the end."""
        if self.tls is None:
            return await self._receive_raw()
        buffer = bytearray(4 * READ_AT_ONCE)
        count = self.tls.decrypt(memoryview(buffer))
        while count is None:
            data = await self._receive_raw()
            if not data:
                return b""
            self.tls.feed(data)
            count = self.tls.decrypt(memoryview(buffer))
        return bytes(buffer[:count])

    async def _receive_raw(self) -> bytes:
        while True:
            try:
                data = self.sock.recv(READ_AT_ONCE)
            except BlockingIOError:
                await wait_readable(self.sock)
            else:
                self.heard = self.heard or bool(data)
                return data

    async def send(self, data: bytes) -> None:
        """Send all of ``data``, with TLS all of its ciphertext."""
        view = memoryview(data)
        while True:
            with suppress(BlockingIOError):
                view = view[(self.tls or self.sock).send(view) :]
            if not view and (self.tls is None or self.tls.pump()):
                return
            await wait_writable(self.sock)

    async def send_content(self, content: Response) -> None:
        """Send the content of a response; reset a broken one, so that no peer takes a part for the whole.

        Raises:
            OSError: When the connection is lost.
        """
        if not isinstance(content, FileResponse):
            await self.send(content.body)
            return
        offset = 0
        while offset < content.length:
            try:
                part = await content.read(offset)
            except Exception as error:
                logger.error("%s: an answer broke off", self.name, exc_info=error)
                self.reset = True
                raise OSError(errno.EIO, "an answer broke off") from None
            await self.send(part)
            offset += len(part)

    async def say_goodbye(self) -> None:
        """End the connection so that the answer arrives."""
        with trio.move_on_after(LINGER):
            if self.tls is not None:
                self.tls.close_notify()
            self.sock.shutdown(socket.SHUT_WR)
            while await self._receive_raw():
                await trio.lowlevel.checkpoint()
        # After an earlier close the kernel would hold the rest, and no limit would count it.
        while has_untaken(self.sock):  # noqa: ASYNC110
            await trio.sleep(LOOK_AGAIN)

    def leave(self) -> None:
        """Note that the peer has gone, and cancel the work for it."""
        self.gone = True
        self.scope.cancel()

    def check_there(self) -> None:
        """Check that the peer is still there: cancelled user code may still have come to an answer.

        Raises:
            Gone: If it has gone.
        """
        if self.gone or has_ended(self.sock):
            raise Gone


def note_gone(newcomer: Newcomer) -> None:
    """Log that a peer has gone on its way in."""
    if newcomer.head_received:
        logger.info("%s: gone before it was answered", newcomer.name)
    else:
        logger.info("%s: gone before its request was whole", newcomer.name)


def has_untaken(sock: Endpoint) -> bool:
    """Return whether a peer that is still there has yet to take a part of its answer."""
    left = unsent_in_kernel(sock) or 0
    return left > 1 and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # 1 may be our FIN
