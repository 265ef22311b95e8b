"""The interface of a backplane, which carries messages between the processes of one service.

A backplane does three things. It publishes: a message for a topic reaches each node that wants
the topic. It keeps history, where a publisher asks for it: kept messages have positions, and a
node that has missed some asks for them. It grants leases: at most one node holds a key at a time.
A backplane can lack the second and the third; its methods then raise NotImplementedError.

Networks fail, and a backplane does not raise for that: it reports a gap and goes on. These
promises hold for every implementation, and :mod:`wsframe.testing` has their tests:

* The messages of one publisher on one topic arrive in the order in which it published them, at most
  once each. Kept messages of a topic arrive in the order of their positions at every node.
* Once a topic is reported as wanted, every later message of it arrives, or a gap of it is reported before
  its next message.
* ``publish``, ``want`` and ``unwant`` never wait.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import trio

__all__ = ["MARGIN", "Backplane", "History", "Kept", "Lease", "Position", "Told"]

MARGIN = 0.5
"""Seconds by which a holder stops before its lease ends, for clocks that run at different speeds."""


@dataclass(frozen=True, kw_only=True)
class History:
    """How much of a topic is kept for members that have missed some; the first bound that is met counts."""

    messages: int = 100
    """At most this many messages. Default 100. Each costs its bytes in the engine."""
    seconds: float = 300.0
    """At most this old, in seconds. Default 300: a browser that reconnects within five minutes misses nothing."""
    bytes: int = 1 << 20
    """At most this many bytes of payload. Default 1 MiB. It bounds the memory of one topic in the engine."""

    def __post_init__(self) -> None:
        for name in ("messages", "seconds", "bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int if name != "seconds" else int | float):
                raise TypeError(f"{name} is a number, not {type(value).__name__}")
            if not value > 0:
                raise ValueError(f"{name} is above 0, not {value}: leave history out to keep nothing")


class Position(NamedTuple):
    """A place in the history of a topic. Positions of different epochs cannot be compared."""

    epoch: int
    """64 random bits, new whenever the engine has lost the topic's history."""
    offset: int
    """The number of messages of this epoch up to here; 0 before the first."""


class Kept(NamedTuple):
    """A message in the history of a topic."""

    offset: int
    sender: str
    payload: bytes


class Lease(NamedTuple):
    """The sole right of a node to act for a key."""

    key: str
    token: int
    """Grows with each new holder. A store that compares it can refuse a holder whose lease has ended."""
    until: float
    """The moment by the node's clock at which the holder stops: half a second before others can acquire the key."""


class Told(Protocol):
    """The receiver of a backplane's reports. Its methods do not raise and do not wait."""

    def message(self, topic: str, payload: bytes, sender: str, position: Position | None) -> None:
        """Take a message. ``position`` is None if it is not kept."""

    def wanted(self, topic: str, position: Position | None) -> None:
        """Learn that every later message of a topic arrives.

        ``position`` is that of the newest kept one; None if the topic has no position yet, and then the first
        kept message has the offset 1.
        """

    def gap(self, topic: str | None) -> None:
        """Learn that messages of a topic are missing; None stands for all topics."""

    def reach(self, up: bool) -> None:
        """Learn whether the engine can be reached."""


class Backplane(Protocol):
    """A connection of one node to the other nodes of its service."""

    async def run(
        self, node: str, told: Told, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Connect, and report to ``told``, until cancelled. It has started when it was connected once.

        If it ends before, by an exception or not, a server logs that and calls it again after a pause: it then goes on
        with all topics that :meth:`want` has named.

        Args:
            node: The name of the node, which no other node of the service has.
            told: The receiver of the reports.

        Raises:
            BackplaneRefused: If the first connection is refused for good. This ends the server.
        """

    def publish(self, topic: str, payload: bytes, *, keep: History | None = None) -> bool:
        """Queue a message for every other node that wants its topic; return False if there is no room.

        The other nodes see a gap in place of a refused message.
        A kept message also comes back to this node: the engine gives it its place among the others.
        """

    def want(self, topics: Collection[str]) -> None:
        """Ask for the messages of topics from now on."""

    def unwant(self, topics: Collection[str]) -> None:
        """Stop asking for the messages of topics."""

    async def since(self, topic: str, position: Position, limit: int) -> list[Kept] | None:
        """Return all messages kept after a position, oldest first.

        None if some of them are not kept any more, are more than ``limit``, or the epoch is another one.
        """

    async def newest(self, topic: str) -> Position | None:
        """Return the position of the newest kept message; None if the engine cannot be reached.

        From now on a topic without kept messages also has a position, with offset 0: a client knows where to go on
        before there is a message.
        """

    async def kept(self, topic: str) -> tuple[Position, list[Kept]] | None:
        """Return the position of the newest kept message and all kept ones, oldest first, as of one moment.

        As with :meth:`newest`, a topic without messages has a position. None if the engine cannot be reached.
        """

    async def acquire(self, keys: Sequence[str], seconds: float) -> list[Lease | str]:
        """Acquire keys that no other node holds; return for each the lease, or the name of the node that has it.

        The name is ``""`` where nobody is granted a lease yet, or the engine cannot be reached. A node asks only for
        keys whose leases it does not have. If it is the holder all the same, an answer was lost, and it gets another
        lease.
        """

    async def renew(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        """Renew leases; return each with its new end, or None if it has been lost or could not be renewed."""

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give leases back before their end."""
