"""The partitions that a process holds by leases, and the lives in each: a loss ends all of them in one step."""

from __future__ import annotations

from collections.abc import Collection

from wsframe.hooks.listener import Listener
from wsframe.resources.ownership import Ownership
from wsframe.workers.partitions import EVERYWHERE

__all__ = ["Holdings"]


class Holding:
    """One partition, from the moment at which its lease was acquired."""

    __slots__ = ("lives", "ownership")

    def __init__(self, ownership: Ownership) -> None:
        self.ownership: Ownership = ownership
        self.lives: dict[Listener, None] = {}


class Holdings:
    """The partitions that are held by leases; none where nothing is leased."""

    def __init__(self) -> None:
        self._held: dict[int, Holding] = {}

    def begin(self, partition: int, ownership: Ownership) -> None:
        """Have the lives of a partition depend on a lease from now on."""
        self._held[partition] = Holding(ownership)

    def lives(self, partition: int) -> Collection[Listener]:
        """Return the lives that depend on the lease of a partition."""
        held = self._held.get(partition)
        return () if held is None else tuple(held.lives)

    def crowds(self) -> dict[int, int]:
        """Return the partitions that have clients, with the number of them."""
        counts = {one: sum(life.members.count for life in held.lives) for one, held in self._held.items() if held.lives}
        return {one: count for one, count in counts.items() if count > 0}

    def lose(self, partition: int) -> None:
        """End the lives of a partition, whose lease is lost."""
        held = self._held.pop(partition, None)
        for life in () if held is None else tuple(held.lives):
            life.tenancy.end()

    def enter(self, life: Listener) -> None:
        """Have a life that begins depend on the lease of its partition, if that is leased."""
        held = None if life.partition == EVERYWHERE else self._held.get(life.partition)
        if held is not None:
            held.lives[life] = None
            life.tenancy.depend(held.ownership)

    def leave(self, life: Listener) -> None:
        """Forget a life that has ended."""
        held = self._held.get(life.partition)
        if held is not None:
            held.lives.pop(life, None)
