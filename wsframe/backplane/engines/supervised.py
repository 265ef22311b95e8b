"""A backplane on an engine: one session of its connection after another, until cancelled."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from math import inf
from typing import TypeVar

import trio

from wsframe.backplane.boottime import boottime
from wsframe.backplane.engines.engine import BackplaneRefused, Engine, EngineLink, LinkLost
from wsframe.backplane.engines.publications import Publications
from wsframe.backplane.engines.session import EngineSession
from wsframe.backplane.interface import MARGIN, History, Kept, Lease, Position, Told
from wsframe.backplane.queue import LIMIT
from wsframe.doorbell import check_trio
from wsframe.log import EACH, Log, log_for
from wsframe.user_code.errors import being_cancelled, contain

__all__ = ["SupervisedBackplane"]

logger: Log = log_for(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.5
"""Seconds before another connection is made."""
PATIENCE = 2.0
"""Seconds in which the engine answers a request."""

FIRST_TRUST, LONGEST_TRUST = 1.0, 60.0
"""Seconds in which a connection stays although the engine refuses a request: the one before was ended for that."""
SETTLED_AFTER = 0.05
"""Seconds after a failed request within which a lost connection is given up."""

TOLD_FOR = 60.0
"""Seconds in which the same refusal is told once."""
MOST_TOLD = 100

NO_ANSWER = "it does not answer in time"

AnswerT = TypeVar("AnswerT")


class SupervisedBackplane:
    """A node's side of an engine; it implements :class:`~wsframe.backplane.interface.Backplane`.

    Args:
        engine: Makes the connections.
        limit: Bytes that wait to be published before ``publish`` returns False.
    """

    clock: Callable[[], float] = staticmethod(boottime)
    """The clock of leases."""

    def __init__(self, engine: Engine, *, limit: int = LIMIT) -> None:
        self._engine = engine
        self._wants: dict[str, None] = {}
        self._publications = Publications(limit)
        self._session: EngineSession | None = None
        self._node = ""
        self._away = False
        self._trusted_until = -inf
        self._trust = FIRST_TRUST
        self._refusals = Refusals()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._engine.name}>"

    async def run(
        self, node: str, told: Told, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Connect again and again until cancelled.

        Raises:
            BackplaneRefused: If the engine refuses the first connection for good, such as for a wrong password.
        """
        check_trio()
        self._node, self._away = node, False
        before, pause = False, FIRST_PAUSE

        def up() -> None:
            nonlocal before, pause
            if before:
                told.gap(None)
            else:
                task_status.started()
            if self._away:
                logger.info("the backplane at %s is connected", self._engine.name, kind=EACH)
            before, self._away, pause = True, False, FIRST_PAUSE
            told.reach(True)

        while True:
            session = EngineSession(node, told, self._wants, self._publications, up, self._distrusts)
            await self._run_session(session, before)
            if not self._away:
                self._away = True
                told.reach(False)
            await trio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _run_session(self, session: EngineSession, before: bool) -> None:
        """Use one connection until it ends."""
        self._session = session
        try:
            async with self._engine.connect(session.take) as link:
                await session.run(link)
        except BaseException as error:  # of a client library: the panic of an extension is not an Exception
            group = error if isinstance(error, BaseExceptionGroup) else BaseExceptionGroup("", [error])
            passing, ended = group.split(passes)
            if ended is not None:
                cause = innermost(ended)
                if isinstance(cause, BackplaneRefused) and not before:
                    raise cause from None
                self._tell(cause)
            if passing is not None:
                raise passing from None
        finally:
            self._session = None

    def _tell(self, error: BaseException) -> None:
        if not self._away:
            reason = self._reason(error)
            logger.warning("the backplane at %s cannot be reached: %s; trying again", self._engine.name, reason)

    def _reason(self, error: BaseException) -> str:
        return NO_ANSWER if isinstance(error, trio.TooSlowError) else self._engine.redacted(error)

    # Topics

    def publish(self, topic: str, payload: bytes, *, keep: History | None = None, sender: str = "") -> bool:
        """Queue a message; False while the engine cannot be reached, and where there is no room.

        ``sender`` is the node for which this one publishes, as a relay does; ``""`` for itself.
        """
        if self._session is None or not self._session.is_up:
            self._publications.refuse(topic)
            return False
        return self._publications.put(self._node, topic, payload, keep, sender)

    def doubt(self, topic: str | None) -> None:
        """Have the other nodes learn that messages of a topic are missing; None stands for all topics."""
        self._publications.refuse(topic)
        self._publications.doorbell.ring()

    @property
    def is_crowded(self) -> bool:
        """Whether half of the room for messages is taken."""
        return self._publications.is_crowded

    async def sent(self) -> None:
        """Wait until the engine has all messages that were queued."""
        await self._publications.sent()

    def want(self, topics: Collection[str]) -> None:
        """Ask for the messages of topics."""
        self._wants.update(dict.fromkeys(topics))
        if self._session is not None:
            self._session.change(topics)

    def unwant(self, topics: Collection[str]) -> None:
        """Stop asking for the messages of topics."""
        for topic in topics:
            self._wants.pop(topic, None)
        if self._session is not None:
            self._session.change(topics)

    # History and leases

    async def _ask(self, request: Callable[[EngineLink], Awaitable[AnswerT]]) -> AnswerT | None:
        """Ask the engine; return None if it cannot be reached in time."""
        session = self._session
        link = None if session is None else session.link
        if session is None or link is None:
            await trio.lowlevel.checkpoint()
            return None
        try:
            with trio.fail_after(PATIENCE):
                return await request(link)
        except BaseException as error:  # of the client library, as it likes
            contain(error)
            if not isinstance(error, trio.TooSlowError):  # the probe decides about an engine that is slow
                await trio.sleep(SETTLED_AFTER)
                if self._session is not session or self._distrust(session, error):
                    return None
            if self._refusals.is_news("request", reason := self._reason(error)):
                logger.warning("a request to the backplane at %s fails: %s", self._engine.name, reason, kind="answer")
            return None

    def _distrust(self, session: EngineSession, error: BaseException) -> bool:
        """End a connection on which a request is refused: the next one can find another server, or load the scripts.

        An engine that refuses on that one too, such as one that cannot write, still carries messages: its connections
        end more and more seldom. Return whether this one ends.
        """
        now = trio.current_time()
        if isinstance(error, LinkLost):
            session.end(error)
            return True
        if now < self._trusted_until:
            return False
        self._trust = min(2 * self._trust, LONGEST_TRUST) if now < self._trusted_until + LONGEST_TRUST else FIRST_TRUST
        self._trusted_until = now + self._trust
        session.end(error)
        return True

    def _distrusts(self, session: EngineSession, error: Exception) -> bool:
        """Return whether a connection ends on which messages are refused; if not, say so."""
        if self._distrust(session, error):
            return True
        if self._refusals.is_news("message", reason := self._reason(error)):
            logger.warning("the backplane at %s refuses messages: %s", self._engine.name, reason, kind="refused")
        return False

    async def since(self, topic: str, position: Position, limit: int) -> list[Kept] | None:
        """Return all messages kept after a position, or None."""
        return await self._ask(lambda link: link.since(topic, position, limit))

    async def newest(self, topic: str) -> Position | None:
        """Return the position of the newest kept message, or None."""
        return await self._ask(lambda link: link.newest(topic))

    async def kept(self, topic: str) -> tuple[Position, list[Kept]] | None:
        """Return the position of the newest kept message and all kept messages, or None."""
        return await self._ask(lambda link: link.kept(topic))

    async def acquire(self, keys: Sequence[str], seconds: float, *, holder: str = "") -> list[Lease | str]:
        """Acquire keys that no other node holds, for this node or for the one that is named."""
        until = boottime() + seconds - MARGIN
        session = self._session
        answer = None
        if session is not None:
            answer = await self._ask(lambda _: session.acquire(holder or self._node, keys, seconds))
        if answer is None:
            return [""] * len(keys)
        return [got if isinstance(got, str) else Lease(key, got, until) for key, got in zip(keys, answer, strict=True)]

    async def renew(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        """Renew leases."""
        until = boottime() + seconds - MARGIN
        answer = await self._ask(lambda link: link.renew([(lease.key, lease.token) for lease in leases], seconds))
        held = [False] * len(leases) if answer is None else answer
        return [lease._replace(until=until) if still else None for lease, still in zip(leases, held, strict=True)]

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give leases back."""
        await self._ask(lambda link: link.release([(lease.key, lease.token) for lease in leases]))


class Refusals:
    """The refusals that have been told: an engine without memory refuses each request for as long as it lasts."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], float] = {}

    def is_news(self, refused: str, reason: str) -> bool:
        """Note a refusal; return whether it has not been told in the last minute."""
        now = trio.current_time()
        if now < self._told.get((refused, reason), -inf) + TOLD_FOR:
            return False
        if len(self._told) >= MOST_TOLD:
            self._told.clear()
        self._told[refused, reason] = now
        return True


def passes(error: BaseException) -> bool:
    """Return whether an error is not about a connection, but ends the task or the program."""
    return isinstance(error, KeyboardInterrupt | SystemExit) or (
        isinstance(error, trio.Cancelled) and being_cancelled()
    )


def innermost(error: BaseException) -> BaseException:
    """Return the first error of a group, which the others follow from."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
