"""An engine, as the supervision sees it: Redis or PostgreSQL behind a few functions.

An engine makes links. A link is one connection, and it does nothing about its own failure: it never
connects again, and its task raises when the connection ends. Its methods raise whatever the client library
raises. Everything else, deadlines included, is done once for all engines in ``supervised``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from wsframe.backplane.interface import History, Kept, Position
from wsframe.exceptions import WsframeError

__all__ = ["BackplaneRefused", "Engine", "EngineLink", "EnginePublication", "LinkLost", "Take"]

Take = Callable[[str, bytes], object]
"""Called by a link with a topic and an envelope, for each message in order."""


class BackplaneRefused(WsframeError):
    """Raised by ``run`` of a backplane whose engine refuses the first connection for good: a wrong password,
    a database that is not there, or a kind of server that cannot be used."""


class LinkLost(Exception):
    """Raised by a link that looks well, and leads to a server or a connection of no use: only another link helps."""


class EnginePublication(NamedTuple):
    """A message on its way to the engine."""

    topic: str
    head: str
    body: bytes
    keep: History | None


class EngineLink(Protocol):
    """One connection to an engine."""

    async def subscribe(self, topics: Collection[str]) -> None:
        """Receive the messages of topics from now on; return once the engine sends them."""

    async def unsubscribe(self, topics: Collection[str]) -> None:
        """Stop receiving the messages of topics."""

    async def publish(self, batch: Sequence[EnginePublication]) -> None:
        """Publish in this order; return once the engine has all of them."""

    async def positions(self, topics: Sequence[str]) -> list[Position | None]:
        """Return the position of the newest kept message of each topic; None for a topic that has no position."""

    async def newest(self, topic: str) -> Position:
        """Return the position of the newest kept message; from now on the topic has one."""

    async def kept(self, topic: str) -> tuple[Position, list[Kept]]:
        """Return the position of the newest kept message and all kept ones; from now on the topic has one."""

    async def since(self, topic: str, position: Position, limit: int) -> list[Kept] | None:
        """Return all messages kept after a position, or None."""

    async def acquire(self, node: str, keys: Sequence[str], seconds: float) -> list[int | str]:
        """Grant keys: return the token of each, or the node that has it."""

    async def renew(self, keys: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        """Renew keys held with tokens; return whether each is still held."""

    async def release(self, keys: Sequence[tuple[str, int]]) -> None:
        """Give back keys that are held with these tokens."""


class Engine(Protocol):
    """Makes links to one engine."""

    name: str
    """The engine's address for log lines, without a password."""

    def connect(self, take: Take) -> AbstractAsyncContextManager[EngineLink]:
        """Connect and read until the block ends. It waits for a bounded time.

        Raises:
            BackplaneRefused: If another attempt would fail in the same way.
            Exception: For failures that can pass.
        """

    def redacted(self, error: BaseException) -> str:
        """Describe an error in one line, without a password."""
