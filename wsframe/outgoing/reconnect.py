"""``connect_forever``: one connection after another, with pauses that grow."""

from __future__ import annotations

from collections.abc import Callable
from logging import INFO, WARNING
from types import TracebackType
from typing import Self, Unpack, final

import trio

from wsframe.doorbell import check_trio
from wsframe.log import LONGEST_REASON, Log, escaped, log_for, shortened
from wsframe.outgoing.connect import leave
from wsframe.outgoing.connector import Connector
from wsframe.outgoing.link import OutgoingLink
from wsframe.outgoing.options import Backoff, ConnectOptions, OutgoingURL
from wsframe.outgoing.retrying import Retry, asked, is_odd, may_succeed_later, retry_after
from wsframe.outgoing.websocket import WebSocket

__all__ = ["connect_forever"]

logger: Log = log_for(__name__)

OUTSIDE = "write: async with connect_forever(...) as connections: async for ws in connections: ..."


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
    closed. An exception of the body ends the loop as any other. A try that fails is logged, and
    repeated after a pause if ``retry`` says so, or raised.

    Args:
        url: As for :func:`connect`, and so are the other options. Functions in the place of
            ``url`` and ``headers`` are called before each try, for a token that expires; their
            exceptions are failures of that try.
        backoff: How long the pauses are.
        retry: Called with each exception of a try. True tries again after a pause, False raises
            the exception, a number is the seconds until the next try, in place of a pause. It
            can be async. The default is :func:`may_succeed_later`, which ``retry``
            can call for the others.
        failed: Called with each exception that is going to be retried and the seconds until
            then, to show it. An exception of its own ends the loop.

    Raises:
        InvalidURL, ValueError: As :func:`connect`, when it is made.
    """

    def __init__(
        self,
        url: OutgoingURL,
        *,
        backoff: Backoff = Backoff(),  # noqa: B008
        retry: Retry = may_succeed_later,
        failed: Callable[[Exception, float], object] | None = None,
        **options: Unpack[ConnectOptions],
    ) -> None:
        if not isinstance(backoff, Backoff):
            raise TypeError(f"backoff must be a Backoff, not {backoff!r}")
        for name, function in (("retry", retry), ("failed", failed)):
            if not callable(function) and (name, function) != ("failed", None):
                raise TypeError(f"{name} must be a function, not {function!r}")
        self._connector = Connector(url, **options)
        self._backoff = backoff
        self._retry = retry
        self._failed = failed
        self._failures = 0
        self._pause = 0.0
        self._link: OutgoingLink | None = None
        self._opened_at = 0.0
        self._nursery: trio.Nursery | None = None
        """Runs the tasks of the connections; None outside of ``async with``."""
        self._opening = False

    async def __aenter__(self) -> Self:
        """Begin; the first connection is opened by the loop."""
        check_trio()
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
                if not await self._note(error):
                    raise
            else:
                if self._nursery is None:  # another task has left it in the meantime
                    link.leaving.abandon()
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

    async def _note(self, error: Exception) -> bool:
        """Count a failure and draw the pause after it; return whether to try again."""
        verdict = await asked(self._retry, error)
        if verdict is False:
            return False
        self._failures += 1
        if verdict is True:
            self._pause = max(self._backoff.delay(self._failures), min(retry_after(error), self._backoff.most))
        else:
            self._pause = verdict
        name, reason = shortened(self._connector.name), escaped(str(error), LONGEST_REASON)
        level = WARNING if is_odd(error) else INFO
        logger.log(level, "%s: not connected (%s); trying again in %.1f s", name, reason, self._pause)
        if self._failed is not None:
            self._failed(error, self._pause)
        return True
