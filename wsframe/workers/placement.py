"""Which partitions live in this process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, Self, final

import trio

from wsframe.workers.partitions import EVERYWHERE, partitions_of, slot_of

__all__ = ["Placement"]


class Leased(Protocol):
    """The partitions that this process has by leases."""

    def holds(self, partition: int) -> bool:
        """Return whether it acts for a partition now."""

    async def settle(self, partition: int) -> None:
        """Wait until it does, or raise because another process has it."""


@final
class Placement:
    """The partitions of one process of a service.

    Args:
        slot: The number of the process among the workers, from 0.
        count: How many workers there are.
        follows: Whether a predecessor still has the partitions: each has to be begun.

    Raises:
        ValueError: For a slot out of range.
    """

    def __init__(self, slot: int, count: int, *, follows: bool = False) -> None:
        if not 0 <= slot < count:
            raise ValueError(f"a slot is from 0 to {count - 1}, not {slot}")
        self.slot = slot
        self.count = count
        self._away: set[int] = set(partitions_of(slot, count)) if follows else set()
        """Partitions of this slot that another generation of its worker has: the one before, or the one after."""
        self._left: set[int] = set()
        """Those that have been left to the one after."""
        self._begun = trio.Event()
        self.leased: Leased | None = None
        """Says which partitions are here where processes of other machines can have them; set before any life."""

        self.shared_only: bool = False
        """Whether there are other servers, and no leases: then only resources of scope ``"shared"`` live here."""

    def __repr__(self) -> str:
        return f"<Placement slot {self.slot} of {self.count}>"

    @classmethod
    def alone(cls) -> Self:
        """Return the placement of a process that is the whole service."""
        return cls(0, 1)

    @property
    def spread(self) -> bool:
        """Whether there are other processes."""
        return self.count > 1

    @property
    def divided(self) -> bool:
        """Whether some partitions live in other processes, of this machine or of another one."""
        return self.count > 1 or self.leased is not None

    def slot_of(self, partition: int) -> int:
        """Return the slot in which a partition lives; this one for a resource that lives everywhere."""
        return self.slot if partition == EVERYWHERE else slot_of(partition, self.count)

    def is_here(self, partition: int) -> bool:
        """Return whether a partition lives in this process."""
        if self.slot_of(partition) != self.slot or partition in self._away:
            return False
        return self.leased is None or partition == EVERYWHERE or self.leased.holds(partition)

    def can_begin(self, partition: int) -> bool:
        """Return whether a life of a partition can begin in this process."""
        return self.is_here(partition) and partition not in self._left

    def is_away(self, partition: int) -> bool:
        """Return whether another generation of this worker has a partition."""
        return partition in self._away

    @property
    def whole(self) -> bool:
        """Whether every partition lives in this process."""
        return self.count == 1 and not self._away and self.leased is None

    # Two generations of one slot

    def begin(self, partitions: Iterable[int]) -> list[int]:
        """Note that no other process has partitions any more; return those that begin here with that."""
        fresh = [one for one in partitions if one in self._away and one not in self._left]
        self._away.difference_update(fresh)
        if fresh:
            self._begun.set()
            self._begun = trio.Event()
        return fresh

    def leave(self, partition: int) -> None:
        """Note that a partition is left to the next generation.

        Resources that live everywhere go on here until their clients have left, but none begins any more.
        """
        if partition != EVERYWHERE:
            self._away.add(partition)
        self._left.add(partition)

    def has_left(self, partition: int) -> bool:
        """Return whether a partition was here, and is the next generation's."""
        return partition in self._left

    async def until_begun(self, partition: int) -> None:
        """Wait while the previous generation has a partition of this slot, or nobody has its lease.

        Raises:
            LivesElsewhere: If a process of another machine has it.
            Reject: 503 if nobody can have it for now.
        """
        while partition in self._away and partition not in self._left:
            await self._begun.wait()
        if self.leased is not None and partition != EVERYWHERE and self.slot_of(partition) == self.slot:
            await self.leased.settle(partition)
