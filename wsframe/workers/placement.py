"""Which partitions live in this process."""

from __future__ import annotations

from typing import Self, final

from wsframe.workers.partitions import EVERYWHERE, slot_of

__all__ = ["Placement"]


@final
class Placement:
    """The partitions of one process of a service.

    Args:
        slot: The number of the process among the workers, from 0.
        count: How many workers there are.

    Raises:
        ValueError: For a slot that there is not.
    """

    def __init__(self, slot: int, count: int) -> None:
        if not 0 <= slot < count:
            raise ValueError(f"a slot is from 0 to {count - 1}, not {slot}")
        self.slot = slot
        self.count = count

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

    def slot_of(self, partition: int) -> int:
        """Return the slot in which a partition lives; this one for a resource that lives everywhere."""
        return self.slot if partition == EVERYWHERE else slot_of(partition, self.count)

    def is_here(self, partition: int) -> bool:
        """Return whether a partition lives in this process."""
        return self.slot_of(partition) == self.slot
