"""``connect_forever``: one connection after another, with pauses that grow."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Self, Unpack, final

import trio

from wsframe.exceptions import HandshakeRejected, ProxyFailed
from wsframe.log import LONGEST_REASON, escaped, logger, shortened
from wsframe.outgoing.connect import leave
from wsframe.outgoing.connector import Connector
from wsframe.outgoing.link import Link
from wsframe.outgoing.options import Backoff, ConnectOptions
from wsframe.outgoing.websocket import WebSocket

__all__ = ["connect_forever", "may_succeed_later"]

OUTSIDE = "write: async with connect_forever(...) as connections: async for ws in connections: ..."

# Too slow, too early, too many, and what a server or the proxy before it answers while it restarts.
TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})


def may_succeed_later(error: Exception) -> bool:
    """Tell whether what failed may succeed if it is tried again.

    It may after trouble with the network, names that cannot be resolved and timeouts
    included, after statuses 408, 425, 429, 500, 502, 503 and 504, and if a proxy says so. It
    may not after any other status, a certificate that is not trusted, or a 101 that is none.
    """
    if isinstance(error, HandshakeRejected):
        return error.status in TEMPORARY
    if isinstance(error, ProxyFailed):
        return error.temporary
    return isinstance(error, OSError) and not isinstance(error, ssl.SSLCertVerificationError)


@final
class connect_forever:  # noqa: N801
    """Connect again and again: an async context manager whose value yields connections.

    .. code-block:: python

        async with connect_forever("wss://feed.example/") as connections:
            async for ws in connections:
                try:
                    async for message in ws:
                        print(message)
                except ConnectionClosed:
                    pass

    The next connection is opened when the body of the loop has ended, and the one before
    closed. What the body raises ends the loop as any other. A try that fails is logged, and
    repeated after a pause if :func:`may_succeed_later`, else raised.

    Args:
        url: As for :func:`connect`, and so are the other options.
        backoff: How long the pauses are.
        failed: Called with each exception that is going to be retried and the seconds until
            then. What it raises ends the loop: so it may give up.

    Raises:
        InvalidURL, ValueError: As :func:`connect`, when it is made.
    """

    def __init__(
        self,
        url: str,
        *,
        backoff: Backoff = Backoff(),  # noqa: B008
        failed: Callable[[Exception, float], object] | None = None,
        **options: Unpack[ConnectOptions],
    ) -> None:
        self._connector = Connector(url, **options)
        self._backoff = backoff
        self._failed = failed
        self._failures = 0
        self._pause = 0.0
        self._link: Link | None = None
        self._opened_at = 0.0
        self._nursery: trio.Nursery | None = None
        """Whose tasks keep the connections alive; None outside of ``async with``."""
        self._opening = False

    async def __aenter__(self) -> Self:
        """Begin; the first connection is opened by the loop."""
        if self._nursery is not None:
            raise RuntimeError("this is entered already: one connect_forever() is for one async with at a time")
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the last connection."""
        self._nursery = None
        try:
            await self._leave(error)
        finally:
            await self._manager.__aexit__(None, None, None)

    def __aiter__(self) -> Self:
        """Iterate over connections."""
        return self

    async def __anext__(self) -> WebSocket:
        """Close the connection before and open the next.

        Raises:
            Exception: Of :func:`connect`, when it makes no sense to try again.
            RuntimeError: Outside of ``async with``.
            trio.BusyResourceError: If another task is waiting for the next connection.
        """
        if self._nursery is None:
            raise RuntimeError(OUTSIDE)
        if self._opening:
            raise trio.BusyResourceError("another task is waiting for the next connection")
        self._opening = True
        try:
            await self._leave(None)
            return await self._open()
        finally:
            self._opening = False

    async def _open(self) -> WebSocket:
        while True:
            if self._failures:
                await trio.sleep(self._pause)
            try:
                link, websocket = await self._connector.open()
            except Exception as error:
                if not may_succeed_later(error):
                    raise
                self._note(error)
            else:
                if self._nursery is None:  # left by another task meanwhile
                    link.dispose()
                    raise RuntimeError(OUTSIDE)
                self._link, self._opened_at = link, trio.current_time()
                self._nursery.start_soon(link.run, name=f"connection to {websocket.url}")
                return websocket

    async def _leave(self, error: BaseException | None) -> None:
        link, self._link = self._link, None
        if link is None:
            return
        lived = trio.current_time() - self._opened_at
        await leave(link, error)
        self._failures = 1 if lived >= self._backoff.steady else self._failures + 1
        self._pause = self._backoff.delay(self._failures)

    def _note(self, error: Exception) -> None:
        """Count a failure and draw the pause after it."""
        self._failures += 1
        self._pause = max(self._backoff.delay(self._failures), min(retry_after(error), self._backoff.most))
        target, reason = shortened(str(self._connector.target)), escaped(str(error), LONGEST_REASON)
        logger.info("%s: not connected (%s); trying again in %.1f s", target, reason, self._pause)
        if self._failed is not None:
            self._failed(error, self._pause)


def retry_after(error: Exception) -> float:
    """Return the seconds that a server asked for (RFC 9110 section 10.2.3); 0 if it did not, or named a date."""
    if not isinstance(error, HandshakeRejected):
        return 0
    value = error.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else 0
