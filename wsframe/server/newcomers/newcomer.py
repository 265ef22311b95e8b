"""An accepted socket until it has its answer: it receives, sends and ends."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Collection

import trio

from wsframe.http.handshake import HeadReader, check_head, check_upgrade
from wsframe.http.request import Headers, Request, peer_name
from wsframe.http.responses import FileResponse, Response
from wsframe.log import Log, log_for
from wsframe.net.client_facts import MOST_FACTS, ClientFacts, facts_of
from wsframe.net.proxy_protocol import MalformedProxyHeader, ProxyHeader, ProxyHeaderReader
from wsframe.net.socket_options import unsent_in_kernel
from wsframe.net.sockets import Endpoint, has_ended
from wsframe.net.transport import Transport
from wsframe.net.trusted_proxies import TrustedProxies
from wsframe.server.sockets.listen import Bound

__all__ = ["Gone", "Newcomer", "note_gone"]

logger: Log = log_for(__name__)

# Bytes of a newcomer's first read. Few requests have more; of a message after one, 16 KiB read here left the heap in
# pieces: 87 KiB for half a message of 64 KiB, now 74.
FIRST_READ = 4 * 1024
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
        since: The time of its arrival, now by default.
    """

    __slots__ = (
        *("anonymous", "answered", "early", "error", "for_page", "forwarded", "gone", "handed_over", "head"),
        *("head_received", "host", "nonce", "partition", "passed", "passing", "place", "port", "proxy"),
        *("proxy_header", "request", "reset", "scope", "secure", "since", "sock", "spliced", "told", "trailing"),
        *("transport", "unwrapped", "version", "wants_body"),
    )

    scope: trio.CancelScope
    """Cancels the task that admits it, at its deadline at the latest; there is one from :meth:`limit` on."""

    answered: bool
    handed_over: bool
    """Whether the socket belongs to the reactor now."""
    reset: bool
    """Whether to reset the socket instead of closing it."""

    # Of those that came by another process

    proxy_header: bytes
    """The bytes of its PROXY header."""
    unwrapped: bool
    """Whether all that comes before its request has been received: PROXY header, TLS, facts."""
    forwarded: bool
    """Whether another process keeps its socket: facts about it come before its bytes."""
    spliced: bool
    """Whether another machine has accepted it."""
    told: ClientFacts | None
    """These facts."""
    passing: socket.socket | None
    """The socket that goes through a door in place of its own."""

    def __init__(self, sock: Endpoint, host: str, port: int, place: Bound, since: float | None = None) -> None:
        self.sock = sock
        self.host: str = host
        self.port: int = port
        self.place = place
        self.transport: Transport = Transport(sock)
        self.secure: bool = place.tls is not None
        self.proxy: ProxyHeader | None = None
        self.anonymous: bool = False
        """Whether it came through a proxy that does not know its address."""
        self.early: bytes = b""
        """The bytes that came with the PROXY header, or of its head, before there is a reader for that."""
        self.since: float = trio.current_time() if since is None else since
        self.partition: int | None = None
        """The partition that it asks for, with several workers and once its request is known."""
        self.passed: bool = False
        """Whether another worker has accepted it."""
        self.answered = self.handed_over = self.reset = False
        self.gone: bool = False
        """Whether the peer has gone while user code decided about it."""
        self.head: HeadReader | None = None
        """Reads its request, from the first bytes on."""
        self.request: Request | None = None
        """Its request, once that is whole."""
        self.error: BaseException | None = None
        """The error that kept it from being let in at once; its task raises it again, and answers."""
        self.head_received: bool = False
        self.for_page = False
        """Whether it asks for a page, not for a WebSocket."""
        self.version: int = 13
        self.trailing: bytes = b""
        """The bytes after its request: the first frames, if the peer did not wait for the 101."""
        self.nonce = b""
        """The bytes that hixie-76 sends after the head of the request."""
        self.wants_body: bool = True
        self.unwrapped = self.forwarded = self.spliced = False
        self.proxy_header, self.told, self.passing = b"", None, None

    @property
    def name(self) -> str:
        """The peer, for log lines."""
        return peer_name(self.host, self.port)

    def limit(self, seconds: float) -> None:
        """Limit the time from its arrival until it has to be in."""
        self.scope = trio.CancelScope(deadline=self.since + seconds)

    @property
    def facts(self) -> ClientFacts:
        """The facts about it, for another process."""
        tls = self.transport.tls or self.told
        return ClientFacts(
            host=self.host,
            port=self.port,
            secure=self.secure,
            anonymous=self.anonymous,
            proxy_header=self.proxy_header,
            peer_certificate=None if tls is None else tls.peer_certificate,
            peer_certificate_der=None if tls is None else tls.peer_certificate_der,
        )

    async def unwrap(self, proxies: TrustedProxies) -> bool:
        """Receive all that comes before its request.

        Returns:
            Whether to go on: False at the end of a peer that has not sent all of it.

        Raises:
            MalformedProxyHeader: For a wrong PROXY header.
            OSError: If the TLS handshake fails, or the connection breaks.
        """
        if not self.unwrapped:
            if self.forwarded:
                if not await self._receive_facts():
                    return False
            else:
                if not await self.receive_proxy_header(proxies):
                    return False
                await self.handshake_tls()
            self.unwrapped = True
        return True

    async def _receive_facts(self) -> bool:
        reader, header = ProxyHeaderReader(MOST_FACTS), None
        while header is None:
            data = await self.transport.receive_some()
            if not data:
                return False
            header = reader.receive(data)
        self.take_facts(facts_of(header), reader.trailing)
        return True

    def take_facts(self, facts: ClientFacts, early: bytes) -> None:
        """Take facts about it, and the bytes after them.

        Raises:
            MalformedProxyHeader: If the PROXY header in them is wrong.
        """
        self.told, self.early = facts, early
        self.proxy_header, self.proxy = facts.proxy_header, facts.proxy
        self.secure, self.anonymous = facts.secure, facts.anonymous
        self.be_called(facts.host, facts.port)

    async def receive_proxy_header(self, proxies: TrustedProxies) -> bool:
        """Take the PROXY header of a listening socket that expects one, and the client's address from it.

        Returns:
            Whether to go on: False at the end of a peer that has sent none, or a part of one.

        Raises:
            MalformedProxyHeader: For a wrong one, and for the bytes of a peer that is not a trusted proxy.
        """
        if not self.place.proxy_protocol:
            return True
        reader, header = ProxyHeaderReader(), None
        while header is None:
            data = await self.transport.receive_some()
            if not data:
                if self.transport.heard:
                    note_gone(self)
                return False
            if not proxies.trusts(self.host):
                raise MalformedProxyHeader("it is not one of trusted_proxies")
            header = reader.receive(data)
        self.proxy, self.proxy_header, self.early = header, reader.header, reader.trailing
        self.transport.heard = bool(reader.trailing)
        self.secure = self.secure or header.tls is not None
        self.anonymous = header.client is None and not header.local
        if header.client is not None:
            self.be_called(*header.client)
        return True

    def be_called(self, host: str, port: int) -> None:
        """Take on the client's address, which a proxy has named."""
        self.host, self.port = host, port

    async def handshake_tls(self) -> None:
        """Do the TLS handshake, if the server has TLS.

        Raises:
            OSError: When it fails.
        """
        if self.place.tls is None:
            return
        early, self.early = self.early, b""
        context = self.place.tls(early)
        while context is None:
            data = await self.transport.receive_some()
            if not data:
                raise OSError(errno.ECONNRESET, "ended within the ClientHello")
            early += data
            context = self.place.tls(early)
        await self.transport.start_tls(context, early=early)

    def receive_at_once(self) -> bytes:
        """Return the bytes that are here, without TLS; empty if there are none, and at the end."""
        try:
            data = self.transport.receive_now(FIRST_READ)
        except BlockingIOError:
            return b""
        self.transport.heard = bool(data)
        return data

    @property
    def begun(self) -> bool:
        """Whether any byte of its request has come, and not all."""
        return self.head is not None and self.head.begun_with != b""

    @property
    def unread(self) -> bool:
        """Whether all that it has sent is still in its socket."""
        wrapped = self.place.tls is not None or self.place.proxy_protocol or self.forwarded
        if self.request is not None or self.begun or self.early or (wrapped and self.unwrapped):
            return False
        return not self.transport.heard or (self.partition is not None and not self.passed)  # then it was a look

    def resume(self, request: Request, rest: bytes) -> None:
        """Go on with a request of version 1.1 that another process has received, and the bytes after it."""
        self.head = HeadReader(0)
        self.head.http_version = b"1.1"
        self.request, self.trailing, self.proxy = request, rest, request.proxy
        self.transport.heard = self.head_received = self.unwrapped = True
        self.secure = request.secure
        self.be_called(request.host, request.port)
        request._parsed = request.headers

    def expect_head(self, max_head: int, proxies: TrustedProxies | None) -> None:
        """Read its request from now on.

        Args:
            max_head: Bytes of its head at most.
            proxies: The proxies that can name the client; None for none.

        Raises:
            Reject: If the bytes that came with the PROXY header are refused.
        """
        believed = None if self.anonymous else proxies
        self.head = HeadReader(max_head, host=self.host, port=self.port, secure=self.secure, proxies=believed)
        if self.early:
            self.take_head(self.early)

    def take_head(self, data: bytes) -> Request | None:
        """Take bytes of the head; once it is whole, check it and return the request.

        Raises:
            Reject: If it is refused.
        """
        assert self.head is not None
        request = self.head.receive(data)
        if request is None:
            return None
        self.request = request
        self.trailing = self.head.trailing
        self.head_received = True
        self.wants_body = request.method != "HEAD"
        request.proxy = self.proxy
        tls = self.told if self.place.tls is None else self.transport.tls or self.told
        if tls is not None:
            request.peer_certificate, request.peer_certificate_der = tls.peer_certificate, tls.peer_certificate_der
        self.host, self.port = request.host, request.port
        headers = request._parsed = request.headers
        check_head(headers)
        return request

    def check_upgrade(self, headers: Headers, versions: Collection[int]) -> None:
        """Check that its request, which wants an upgrade, is a handshake of a version that is let in; note which.

        Raises:
            Reject: With the status and the reason of the first check that fails.
        """
        assert self.head is not None
        assert self.request is not None
        self.version = check_upgrade(self.head.http_version, self.request, headers, versions)

    def send_at_once(self, answer: bytes) -> None:
        """Send a short answer whole, without TLS.

        Raises:
            OSError: If the connection is lost, or the kernel has no memory for the first bytes of a connection.
        """
        self.answered = True
        if self.transport.send(answer) < len(answer):
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

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
        """Check that the peer is still there: cancelled user code can still have come to an answer.

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
    return left > 1 and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # 1 can be our FIN
