"""An accepted socket until it has its answer: it receives, sends and ends."""

from __future__ import annotations

import errno
import socket

import trio

from wsframe.http.request import peer_name
from wsframe.http.responses import FileResponse, Response
from wsframe.log import log_for
from wsframe.net.socket_options import unsent_in_kernel
from wsframe.net.sockets import Endpoint, has_ended
from wsframe.net.transport import Transport
from wsframe.server.listen import Bound

__all__ = ["Gone", "Newcomer", "note_gone"]

logger = log_for(__name__)

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
        self.transport = Transport(sock)
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
        self.version = 13
        self.nonce = b""
        """The bytes that hixie-76 sends after the head of the request."""
        self.wants_body = True

    async def handshake_tls(self) -> None:
        """Do the TLS handshake, if the server has TLS.

        Raises:
            OSError: When it fails.
        """
        if self.place.ssl_context is not None:
            await self.transport.start_tls(self.place.ssl_context)

    async def send_content(self, content: Response) -> None:
        """Send the content of a response; reset a broken one, so that no peer takes a part for the whole.

        Raises:
            OSError: When the connection is lost.
        """
        if not isinstance(content, FileResponse):
            await self.transport.send_all(content.body)
            return
        offset = 0
        while offset < content.length:
            try:
                part = await content.read(offset)
            except Exception as error:
                logger.error("%s: an answer broke off", self.name, exc_info=error)
                self.reset = True
                raise OSError(errno.EIO, "an answer broke off") from None
            await self.transport.send_all(part)
            offset += len(part)

    async def say_goodbye(self) -> None:
        """End the connection so that the answer arrives."""
        await self.transport.await_end()
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
