"""Balance between workers that accept from one listening socket.

The kernel wakes all of them, and the fastest one, which has least to do at that moment, would get nearly all of a
storm. So a worker that has more clients than the least loaded one lets the others go first: it waits a moment, once,
and then accepts all the same, because the others can be busy or about to die.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from wsframe.workers.board import Board, Row, SlotState

__all__ = ["Balance"]

SLACK: Final = 2
"""A worker accepts at once if it has at most this many clients more than the least loaded one."""
MOMENT: Final = 0.004
"""Seconds for which it waits if it has more."""
AT_ONCE: Final = 64
"""The most newcomers between two looks at the others."""


class Balance:
    """The share of one worker.

    Args:
        board: The board of all.
        slot: Its slot.
        row: Its row.
        count: Returns its clients and newcomers.
    """

    def __init__(self, board: Board, slot: int, row: Row, count: Callable[[], int]) -> None:
        self._board = board
        self._slot = slot
        self._row = row
        self._count = count

    def note(self) -> None:
        """Write the load of this worker on the board."""
        self._row.load = self._count()

    def room(self) -> int:
        """Return how many newcomers this worker can take until it is ahead; 0 or less if it is."""
        others = [self._load(slot) for slot in range(self._board.count) if self._is_other(slot)]
        return min(others) + SLACK - self._count() if others else AT_ONCE

    def _is_other(self, slot: int) -> bool:
        return slot != self._slot and self._board.state(slot) is SlotState.READY

    def _load(self, slot: int) -> int:
        return int(self._board.newest(slot).load)

    async def turn(self) -> int:
        """Wait for the moment to accept; return how many newcomers to accept then."""
        if self.room() <= 0:
            await trio.sleep(MOMENT)
        return max(1, min(AT_ONCE, self.room()))
