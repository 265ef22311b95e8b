"""A backplane that the program brings along: an exception in it costs messages, never the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeVar

import trio

from wsframe.backplane.boottime import boottime
from wsframe.backplane.engines.engine import BackplaneRefused
from wsframe.backplane.interface import Backplane, History, Kept, Lease, Position, Told
from wsframe.log import EACH, Log, log_for
from wsframe.user_code.errors import call_plain, contain, nested
from wsframe.user_code.program import is_a, leaves

__all__ = ["ContainedBackplane"]

logger: Log = log_for(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Seconds before ``run`` is called again."""

AnswerT = TypeVar("AnswerT")


class ContainedBackplane:
    """Another backplane, which can raise; it implements :class:`~wsframe.backplane.interface.Backplane`.

    ``run`` is called again when it has ended. NotImplementedError passes from methods that a backplane can lack.

    Args:
        plane: The backplane.
    """

    def __init__(self, plane: Backplane) -> None:
        self.inner: Backplane = plane
        self.clock: Callable[[], float] = getattr(plane, "clock", boottime)
        """That of leases."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {type(self.inner).__name__}>"

    async def run(
        self, node: str, told: Told, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run the backplane again and again until cancelled.

        Raises:
            BackplaneRefused: If it raises that before it has been connected.
        """
        reports, pause = ContainedReports(told, task_status.started), FIRST_PAUSE
        while True:
            began = trio.current_time()
            failure: BaseException | None = None
            try:
                await nested(self.inner.run, node, reports)
            except BaseException as error:
                refusal = next((one for one in leaves(error) if is_a(one, BackplaneRefused)), None)
                if refusal is not None and not reports.reached:
                    raise refusal from None
                if not contain(error):
                    await trio.sleep_forever()  # the server stops
                failure = error
            if reports.lose():
                name = type(self.inner).__name__
                logger.error("run() of %s ended; it is called again", name, exc_info=failure, kind=EACH)
            if trio.current_time() > began + LONGEST_PAUSE:
                pause = FIRST_PAUSE
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def publish(self, topic: str, payload: bytes, *, keep: History | None = None) -> bool:
        """Publish a message; False if that fails."""
        try:
            if keep is None:  # a backplane without history need not know it
                return bool(call_plain(self.inner.publish, topic, payload))
            return bool(call_plain(lambda: self.inner.publish(topic, payload, keep=keep)))
        except BaseException as error:
            self._report("publish", error)
            return False

    def want(self, topics: Collection[str]) -> None:
        """Ask for the messages of topics."""
        self._call("want", topics)

    def unwant(self, topics: Collection[str]) -> None:
        """Stop asking for the messages of topics."""
        self._call("unwant", topics)

    async def since(self, topic: str, position: Position, limit: int) -> list[Kept] | None:
        """Return all messages kept after a position, or None."""
        return await self._ask("since", None, topic, position, limit)

    async def newest(self, topic: str) -> Position | None:
        """Return the position of the newest kept message, or None."""
        return await self._ask("newest", None, topic)

    async def kept(self, topic: str) -> tuple[Position, list[Kept]] | None:
        """Return the position of the newest kept message and all kept ones, or None."""
        return await self._ask("kept", None, topic)

    async def acquire(self, keys: Sequence[str], seconds: float) -> list[Lease | str]:
        """Acquire keys that nobody holds."""
        nothing: list[Lease | str] = [""] * len(keys)
        return await self._ask("acquire", nothing, keys, seconds)

    async def renew(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        """Renew leases."""
        nothing: list[Lease | None] = [None] * len(leases)
        return await self._ask("renew", nothing, leases, seconds)

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give leases back."""
        await self._ask("release", None, leases)

    def _call(self, name: str, topics: Collection[str]) -> None:
        try:
            call_plain(getattr(self.inner, name), topics)
        except BaseException as error:
            self._report(name, error)

    async def _ask(self, name: str, otherwise: AnswerT, *args: Any) -> AnswerT:
        method: Callable[..., Awaitable[AnswerT]] | None = getattr(self.inner, name, None)
        if method is None:
            raise NotImplementedError(f"{type(self.inner).__name__} has no method {name}")
        try:
            return await nested(method, *args)
        except BaseException as error:
            self._report(name, error)
            return otherwise

    def _report(self, name: str, error: BaseException) -> None:
        if is_a(error, NotImplementedError):
            raise error
        if contain(error):
            where = f"{type(self.inner).__name__}.{name}"
            logger.error("%s failed", where, exc_info=error, kind=where)


class ContainedReports:
    """Passes on the reports of a backplane; after a failure it reports a gap first.

    Args:
        told: Their receiver.
        started: Called once the backplane has been reached.
    """

    def __init__(self, told: Told, started: Callable[[], object]) -> None:
        self._told = told
        self._started = started
        self._lost = False
        self.reached: bool = False
        """Whether the backplane has ever been connected."""

    def lose(self) -> bool:
        """Learn that the backplane has failed; return whether that is news."""
        news, self._lost = not self._lost, True
        if news:
            self._told.reach(False)
        return news

    def message(self, topic: str, payload: bytes, sender: str, position: Position | None) -> None:
        """Pass on a message."""
        self._resume()
        self._told.message(topic, payload, sender, position)

    def wanted(self, topic: str, position: Position | None) -> None:
        """Pass on that every later message of a topic arrives."""
        self._resume()
        self._told.wanted(topic, position)

    def gap(self, topic: str | None) -> None:
        """Pass on that messages are missing."""
        self._resume()
        self._told.gap(topic)

    def reach(self, up: bool) -> None:
        """Pass on whether the engine can be reached."""
        if up:
            self._resume()
        if up and not self.reached:
            self.reached = True
            self._started()
        self._told.reach(up)

    def _resume(self) -> None:
        if self._lost:
            self._lost = False
            self._told.gap(None)
