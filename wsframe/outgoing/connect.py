"""``async with connect(url)``: a connection for as long as the body runs."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, final

import trio

from wsframe.doorbell import check_trio
from wsframe.limits import Limits, Timeouts
from wsframe.outgoing.connector import Connector
from wsframe.outgoing.link import OutgoingLink
from wsframe.outgoing.options import Opening, OutgoingFields, OutgoingURL
from wsframe.outgoing.proxy import ENVIRONMENT
from wsframe.outgoing.websocket import WebSocket
from wsframe.protocol.close import CloseCode
from wsframe.protocol.deflate import Deflate

__all__ = ["connect"]


@final
class connect:  # noqa: N801
    """Connect to a WebSocket server, for as long as the body of an ``async with`` runs.

    When the body ends the connection is closed: with 1000, with 1011 if the body raised, or
    immediately, after a close frame with 1001, if it was cancelled or left by Ctrl-C. An
    exception of the body comes out as it is, not in an ExceptionGroup. No task of the connection runs user code.

    Args:
        url: ``ws://`` or ``wss://``; with ``user:password@`` for basic authentication. Or a
            function that returns it, async or not, which is called when the block is entered.
        subprotocols: Offered in order of preference.
        headers: More fields of the request: ``Origin``, ``Authorization``, ``Cookie``. Host and
            User-Agent replace ours. Or a function that returns them, as for ``url``.
        keep_on_redirect: Names of the fields that are sent again when a redirect leads to another
            scheme, host or port; by default no fields. ``Sec-WebSocket-Protocol`` stands for the
            subprotocols, ``Authorization`` for user and password of the URL too, ``Host`` is never
            sent again. Name only fields that any server is allowed to see: the first server chooses the other.
        unix: Path of a unix socket to connect to instead, or after ``@`` its name in Linux's abstract
            namespace; the URL still names host and path.
        ssl_context: The certificates to trust, and our own; None takes Python's default, which
            checks the server's certificate.
        proxy: URL of a proxy: ``http``, ``https``, ``socks5`` or ``socks5h`` (which resolves
            the name), with ``user:password@`` if it asks for it; None connects directly. The default,
            ``"environment"``, obeys ``HTTPS_PROXY`` for wss, ``HTTP_PROXY`` for ws,
            ``ALL_PROXY`` and ``NO_PROXY``. SOCKS needs ``wsframe[socks]``.
        deflate: Compression to offer; None offers no compression.
        limits: Bounds of the memory that the server can make us use; rates are for servers.
        timeouts: Only ``ping_interval``, ``ping_timeout``, ``write_stall`` and ``close`` are used.
        opening: Bounds of the time and the bytes of each phase before that.

    Raises:
        InvalidURL: When it is made, for a URL that is not one of a WebSocket or a proxy; when it is
            entered, for a proxy that the environment names.
        ValueError: When it is made, for options that cannot be sent; when it is entered, for
            the value of a function.
        OSError: When it is entered: the network or TLS fails; of these :exc:`OpeningTimeout`
            for a phase that takes too long.
        HandshakeRejected: When it is entered: the server answers another status than 101.
        HandshakeFailed: When it is entered: the answer of the server is not a handshake.
        ProxyFailed: When it is entered: a proxy does not open the tunnel.
    """

    def __init__(
        self,
        url: OutgoingURL,
        *,
        subprotocols: Iterable[str] = (),
        headers: OutgoingFields = (),
        keep_on_redirect: Iterable[str] = (),
        unix: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = ENVIRONMENT,
        deflate: Deflate | None = None,
        limits: Limits = Limits(),  # noqa: B008
        timeouts: Timeouts = Timeouts(),  # noqa: B008
        opening: Opening = Opening(),  # noqa: B008
    ) -> None:
        self._connector = Connector(
            url,
            subprotocols=subprotocols,
            headers=headers,
            keep_on_redirect=keep_on_redirect,
            unix=unix,
            ssl_context=ssl_context,
            proxy=proxy,
            deflate=deflate,
            limits=limits,
            timeouts=timeouts,
            opening=opening,
        )
        self._tasks: AbstractAsyncContextManager[trio.Nursery] | None = None

    if not TYPE_CHECKING:  # type checkers know it without a method

        def __await__(self) -> NoReturn:
            """Refuse a connection that nobody would close."""
            raise TypeError("connect() is not awaited, because somebody has to close it: async with connect(url) as ws")

    async def __aenter__(self) -> WebSocket:
        """Connect."""
        check_trio()
        if self._tasks is not None:
            raise RuntimeError("this connect() is entered already: make another one for another connection")
        tasks = self._tasks = trio.open_nursery()
        try:
            self._link, websocket = await self._connector.open()
        except BaseException:
            self._tasks = None
            raise
        nursery = await tasks.__aenter__()
        nursery.start_soon(self._link.run, name=f"connection to {websocket.url}")
        return websocket

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close."""
        tasks, self._tasks = self._tasks, None
        assert tasks is not None
        try:
            await leave(self._link, error)
        finally:
            # The body's exception is not shown to the nursery, which would wrap it.
            await tasks.__aexit__(None, None, None)


async def leave(link: OutgoingLink, error: BaseException | None) -> None:
    """Close a connection whose body has ended, in order if there is time: a silent server takes all of it.

    On cancellation and Ctrl-C it sends a close frame and waits for nothing.
    """
    hurried = error is not None and not isinstance(error, Exception)
    code = CloseCode.GOING_AWAY if hurried else CloseCode.NORMAL_CLOSURE if error is None else CloseCode.INTERNAL_ERROR
    link.leaving.close(code, "")
    try:
        if not hurried:
            await link.finished()
    finally:
        link.leaving.abandon(reset=link.sender.unsent)
