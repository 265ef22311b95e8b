"""The partitions that this process has leased, with the lives in each: the loss of a lease ends them in one step."""

from __future__ import annotations

from collections.abc import Collection

from wsframe.hooks.listener import Listener
from wsframe.resources.ownership import Ownership
from wsframe.workers.partitions import EVERYWHERE

__all__ = ["LeasedPartitions"]


class LeasedPartition:
    """One partition, from the moment its lease is acquired."""

    __slots__ = ("lives", "ownership")

    def __init__(self, ownership: Ownership) -> None:
        self.ownership: Ownership = ownership
        self.lives: dict[Listener, None] = {}


class LeasedPartitions:
    """The partitions that are held by leases; none where nothing is leased."""

    def __init__(self) -> None:
        self._held: dict[int, LeasedPartition] = {}

    def begin(self, partition: int, ownership: Ownership) -> None:
        """Have the lives of a partition depend on a lease from now on."""
        self._held[partition] = LeasedPartition(ownership)

    def lives(self, partition: int) -> Collection[Listener]:
        """Return the lives that depend on the lease of a partition."""
        held = self._held.get(partition)
        return () if held is None else tuple(held.lives)

    def crowds(self) -> dict[int, int]:
        """Return the partitions that have clients, with the number of them."""
        counts = {one: sum(life.seats.count for life in held.lives) for one, held in self._held.items() if held.lives}
        return {one: count for one, count in counts.items() if count > 0}

    def lose(self, partition: int) -> None:
        """End the lives of a partition, whose lease is lost."""
        held = self._held.pop(partition, None)
        for life in () if held is None else tuple(held.lives):
            life.ownership_guard.end()

    def enter(self, life: Listener) -> None:
        """Have a life that begins depend on the lease of its partition, if that is leased."""
        held = None if life.partition == EVERYWHERE else self._held.get(life.partition)
        if held is not None:
            held.lives[life] = None
            life.ownership_guard.depend(held.ownership)

    def leave(self, life: Listener) -> None:
        """Forget a life that has ended."""
        held = self._held.get(life.partition)
        if held is not None:
            held.lives.pop(life, None)
