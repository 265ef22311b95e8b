"""A backplane between servers of one process, for tests and simulations, and for a program with several servers."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

import trio

from wsframe.backplane.hub import Hub, HubMember
from wsframe.backplane.interface import MARGIN, History, Kept, Lease, Position, Told
from wsframe.backplane.queue import LIMIT, Queue, tell
from wsframe.doorbell import check_trio

__all__ = ["MemoryBackplane", "MemoryHub"]

SWEEP = 5.0
"""Seconds between two looks for histories that are too old."""


def microseconds() -> int:
    """Return the wall clock in microseconds."""
    return time.time_ns() // 1_000


class MemoryHub:
    """The hub that the :class:`MemoryBackplane` objects of one process share.

    Args:
        limit: Bytes that wait for a node before messages are dropped.
        clock: Returns the time in seconds; the default is trio's.
    """

    def __init__(self, *, limit: int = LIMIT, clock: Callable[[], float] = trio.current_time) -> None:
        self.limit = limit
        self.clock = clock
        self.hub: Hub | None = None
        self._sweep_at = 0.0

    def open(self) -> Hub:
        """Return the hub, made by the first call: only then does trio's clock run. It is swept from time to time."""
        now = self.clock()
        if self.hub is None:
            self.hub = Hub(self.clock, microseconds)
            self._sweep_at = now + SWEEP
        elif now >= self._sweep_at:
            self._sweep_at = now + SWEEP
            self.hub.sweep()
        return self.hub


class MemoryBackplane:
    """A node's side of a :class:`MemoryHub`; it implements :class:`~wsframe.backplane.interface.Backplane`."""

    def __init__(self, hub: MemoryHub) -> None:
        self._shared = hub
        self._member: HubMember | None = None
        self._wants: dict[str, None] = {}

    async def run(
        self, node: str, told: Told, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Take part as a node until cancelled."""
        check_trio()
        member = self._member or self.attach(node)
        try:
            told.reach(True)
            task_status.started()
            while True:
                await member.queue.doorbell.wait()
                for report in member.queue.take():
                    tell(told, report)
        finally:
            self._shared.open().detach(member)
            self._member = None

    def attach(self, node: str) -> HubMember:
        """Take part as a node from now on, for a program that publishes before :meth:`run` has its turn."""
        hub = self._shared.open()
        self._member = member = hub.attach(node, Queue(self._shared.limit))
        hub.want(member, self._wants)
        return member

    def publish(self, topic: str, payload: bytes, *, keep: History | None = None) -> bool:
        """Queue a message for the other nodes; False while this one does not run."""
        if self._member is None:
            return False
        self._shared.open().publish(self._member, topic, payload, keep)
        return True

    def want(self, topics: Collection[str]) -> None:
        """Ask for the messages of topics."""
        self._wants.update(dict.fromkeys(topics))
        if self._member is not None:
            self._shared.open().want(self._member, topics)

    def unwant(self, topics: Collection[str]) -> None:
        """Stop asking for the messages of topics."""
        for topic in topics:
            self._wants.pop(topic, None)
        if self._member is not None:
            self._shared.open().unwant(self._member, topics)

    async def since(self, topic: str, position: Position, limit: int) -> list[Kept] | None:
        """Return all messages kept after a position, or None."""
        await trio.lowlevel.checkpoint()
        return self._shared.open().since(topic, position, limit)

    async def newest(self, topic: str) -> Position | None:
        """Return the position of the newest kept message."""
        await trio.lowlevel.checkpoint()
        return self._shared.open().newest(topic)

    async def kept(self, topic: str) -> tuple[Position, list[Kept]] | None:
        """Return the position of the newest kept message, and all kept messages."""
        await trio.lowlevel.checkpoint()
        return self._shared.open().kept(topic)

    @property
    def clock(self) -> Callable[[], float]:
        """The clock of leases."""
        return self._shared.clock

    async def acquire(self, keys: Sequence[str], seconds: float) -> list[Lease | str]:
        """Acquire keys that no other node holds."""
        until = self._shared.clock() + seconds - MARGIN
        await trio.lowlevel.checkpoint()
        if self._member is None:
            return [""] * len(keys)
        answers = self._shared.open().acquire(self._member.node, keys, seconds)
        return [
            answer if isinstance(answer, str) else Lease(key, answer, until)
            for key, answer in zip(keys, answers, strict=True)
        ]

    async def renew(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        """Renew leases."""
        until = self._shared.clock() + seconds - MARGIN
        await trio.lowlevel.checkpoint()
        held = self._shared.open().renew([(lease.key, lease.token) for lease in leases], seconds)
        return [lease._replace(until=until) if still else None for lease, still in zip(leases, held, strict=True)]

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give leases back."""
        await trio.lowlevel.checkpoint()
        self._shared.open().release([(lease.key, lease.token) for lease in leases])
