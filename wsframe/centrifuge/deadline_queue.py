"""Deadlines of many clients in one heap, without a clock of their own."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

__all__ = ["DeadlineQueue"]

KeyT = TypeVar("KeyT", bound=Hashable)


class DeadlineQueue(Generic[KeyT]):
    """The moments at which something is due; each key has one at most."""

    def __init__(self) -> None:
        self._at: dict[KeyT, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, KeyT]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._at)

    def set(self, key: KeyT, at: float) -> None:
        """Set the moment of a key, in the place of an earlier one."""
        entry = at, next(self._numbers)
        self._at[key] = entry
        heappush(self._heap, (*entry, key))
        if len(self._heap) > 2 * len(self._at) + 64:
            self._heap = [(*entry, key) for key, entry in self._at.items()]
            heapify(self._heap)

    def clear(self, key: KeyT) -> None:
        """Forget a key, if it is there."""
        self._at.pop(key, None)

    def due(self, now: float) -> Iterator[KeyT]:
        """Take out the keys that are due, the earliest first."""
        while self._heap and self._heap[0][0] <= now:
            at, number, key = heappop(self._heap)
            if self._at.get(key) == (at, number):
                del self._at[key]
                yield key
