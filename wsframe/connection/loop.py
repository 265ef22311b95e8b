"""The state that a reactor's tasks and its links share: sockets, deadlines, bytes held, the time of the turn.

A link asks its loop for the time, schedules its deadlines in the loop's pool, and leaves its socket here when it
ends. The loop runs nothing: the tasks of :class:`~wsframe.connection.reactor.Reactor` do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

import trio

from wsframe.connection.counters import ServerCounters
from wsframe.connection.flusher import Flusher
from wsframe.connection.memory_budget import Budget
from wsframe.doorbell import Doorbell
from wsframe.protocol.frames import LONGEST_HEADER

if TYPE_CHECKING:
    from wsframe.net.poller import Poller
    from wsframe.protocol.pool import ConnectionPool

__all__ = ["RECEIVE_BUFFER", "Loop"]

LinkT = TypeVar("LinkT")

# The most one read takes: a message of 64 KiB with its header, the size at which many clients cut their data. One
# client can hold this many bytes undecoded beyond the budget of all.
RECEIVE_BUFFER = 64 * 1024 + LONGEST_HEADER


class Loop(Generic[LinkT]):
    """The links of one reactor and everything they have in common.

    Args:
        pool: The connections and their deadlines.
        max_queued_bytes: The bytes that the server can hold for all clients together.
    """

    __slots__ = (
        "_emptied",
        "again",
        "budget",
        "buffer",
        "clock",
        "counters",
        "departed",
        "flusher",
        "links",
        "now",
        "poller",
        "pool",
        "view",
    )  # fmt: skip

    def __init__(self, pool: ConnectionPool[int], max_queued_bytes: int) -> None:
        self.pool: ConnectionPool[int] = pool
        self.budget: Budget = Budget(max_queued_bytes)
        self.flusher: Flusher = Flusher(self.budget)
        self.links: dict[int, LinkT] = {}
        """By descriptor, until their socket is closed."""
        self.departed: set[LinkT] = set()
        """Links that are gone, with messages that their hooks have not reached."""
        self.again: list[LinkT] = []
        """Links with bytes left to decode and room to do so."""
        self.counters: ServerCounters = ServerCounters()
        self.buffer: bytearray = bytearray(RECEIVE_BUFFER)
        self.view: memoryview[int] = memoryview(self.buffer)
        self.clock: Callable[[], float] = trio.lowlevel.current_clock().current_time
        self.now: float = trio.current_time()
        """The time at the beginning of the current batch."""
        self.poller: Poller
        self._emptied: Doorbell | None = None

    def forget(self, fd: int) -> None:
        """Drop the link whose socket is about to be closed."""
        self.poller.forget(fd)
        del self.links[fd]
        self.pool.remove(fd)
        if self._emptied is not None and not self.links:
            self._emptied.ring()

    async def until_empty(self) -> None:
        """Wait until every link is gone."""
        while self.links:
            self._emptied = self._emptied or Doorbell()
            await self._emptied.wait()
