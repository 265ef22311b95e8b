"""The table of a rolling restart: the new worker of each slot takes over from the old one, partition by partition.

This is the supervisor's table, without input or output. The supervisor reports events and carries out the
steps that the table returns. The life of one slot's restart:

========== =============================================== ==========================================
Phase      Ends with                                       Then
========== =============================================== ==========================================
WAITING    the slot before it is done                      start a new worker; the old one goes on
WAITING    the end of the old worker, reaped               nothing: it is replaced like any other
STARTING   the new worker is ready                         have the old one leave its partitions
LEAVING    the end of the old worker, reaped               nothing: the next slot's turn
DONE
========== =============================================== ==========================================

The rules:

1. The new worker begins a partition only when it is over in the old one: the old one has said so, or the supervisor
   has reaped it. The end of a socket says nothing, because a child of a hook can hold it.
2. A new worker that ends, or that is not ready in time, before its old one has been told to leave stops the whole
   restart. The old one has not been touched, and goes on.
3. An old worker that has been told to leave is killed when it takes longer than the drain and a grace.
4. A new worker that ends after that is started again like any other; the next one begins with all partitions that
   are over by then, also if the old one has ended before it is ready.
5. The next slot's turn comes once all slots have a worker that is ready; ``rolling_restart`` waits for that, and
   stops the restart if one has none for long.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from enum import Enum
from math import inf
from typing import NamedTuple

__all__ = ["GRACE", "READY_WITHIN", "Do", "RestartTable", "Step"]

READY_WITHIN = 30.0
"""Seconds that a new worker has to import its program and to become ready."""
GRACE = 5.0
"""Seconds beyond ``timeouts.drain`` after which an old worker is killed."""


class Do(Enum):
    """A kind of step for the supervisor."""

    START = "start a new worker in the slot, which begins no partition"
    LEAVE = "tell the old worker to leave its partitions"
    BEGIN = "tell the new worker to begin partitions"
    KILL_OLD = "kill the old worker"
    KILL_NEW = "kill the new worker: it is not ready in time"


class Step(NamedTuple):
    """Something that the supervisor has to do."""

    do: Do
    slot: int
    partitions: tuple[int, ...] = ()
    """For BEGIN."""


class RestartPhase(Enum):
    """How far the restart of one slot has come."""

    WAITING = "waiting"
    STARTING = "starting"
    LEAVING = "leaving"
    DONE = "done"


class SlotRestart:
    """The restart of one slot.

    Args:
        slot: The slot.
        partitions: Those that live in it.
    """

    def __init__(self, slot: int, partitions: Collection[int]) -> None:
        self.slot = slot
        self.phase = RestartPhase.WAITING
        self.over: set[int] = set()
        """Partitions that have ended in the old worker."""
        self.old_gone: bool = False
        self.new_ready: bool = False
        self.deadline = inf
        self._partitions = partitions

    def note_over(self, partitions: Iterable[int]) -> list[Step]:
        """Note partitions that have ended in the old worker."""
        fresh = sorted(set(partitions) & set(self._partitions) - self.over)
        self.over.update(fresh)
        return [Step(Do.BEGIN, self.slot, tuple(fresh))] if fresh and self.new_ready else []

    def note_ready(self) -> list[Step]:
        """Note that a new worker is ready; return the step for all that it can begin already."""
        self.new_ready = True
        return [Step(Do.BEGIN, self.slot, tuple(sorted(self.over)))] if self.over else []

    def note_old_gone(self) -> list[Step]:
        """Note that the old worker has been reaped: nothing of it can live any more."""
        self.old_gone = True
        return self.note_over(self._partitions)


class RestartTable:
    """The restart of all slots, one after another.

    Args:
        partitions: The partitions of each slot.
        drain: ``timeouts.drain``, in which an old worker leaves its partitions.
        ready_within: Seconds that a new worker has to become ready.
    """

    def __init__(self, partitions: Sequence[Collection[int]], drain: float, ready_within: float = READY_WITHIN) -> None:
        self._slots = [SlotRestart(slot, one) for slot, one in enumerate(partitions)]
        self._drain = drain
        self._ready_within = ready_within
        self.failure: str = ""
        """Why the restart has stopped; empty as long as it goes on, and after success."""

    @property
    def done(self) -> bool:
        """Whether every slot has been restarted."""
        return all(one.phase is RestartPhase.DONE for one in self._slots)

    @property
    def slot(self) -> int | None:
        """The slot that is restarted now; None before, after, and once the restart has failed."""
        current = self._current()
        return None if current is None or current.phase is RestartPhase.WAITING else current.slot

    def _current(self) -> SlotRestart | None:
        if self.failure:
            return None
        return next((one for one in self._slots if one.phase is not RestartPhase.DONE), None)

    def _at(self, slot: int) -> SlotRestart | None:
        current = self._current()
        return current if current is not None and current.slot == slot else None

    @property
    def count(self) -> int:
        """The number of slots."""
        return len(self._slots)

    def stop(self, reason: str) -> None:
        """Stop the restart where it is, unless it has stopped for another reason."""
        self.failure = self.failure or reason

    def go_on(self, now: float) -> list[Step]:
        """Return the steps that are due: the start of the next slot, and the deadlines. Call it often."""
        current = self._current()
        if current is None:
            return []
        if current.phase is RestartPhase.WAITING:
            current.phase, current.deadline = RestartPhase.STARTING, now + self._ready_within
            return [Step(Do.START, current.slot)]
        if now < current.deadline:
            return []
        current.deadline = inf
        if current.phase is RestartPhase.STARTING:
            return self._fail(current, f"is not ready after {self._ready_within:g} s", kill=True)
        return [Step(Do.KILL_OLD, current.slot)]

    def new_ready(self, slot: int, now: float) -> list[Step]:
        """Note that the new worker of a slot is ready, for the first time or again."""
        current = self._at(slot)
        if current is None:  # the old worker can have ended before it
            return self._slots[slot].note_ready() if self._slots[slot].phase is RestartPhase.DONE else []
        steps = current.note_ready()
        if current.phase is RestartPhase.STARTING:
            current.phase, current.deadline = RestartPhase.LEAVING, now + self._drain + GRACE
            if current.old_gone:
                current.phase = RestartPhase.DONE
            else:
                steps.insert(0, Step(Do.LEAVE, slot))
        return steps

    def over(self, slot: int, partitions: Iterable[int]) -> list[Step]:
        """Note partitions that the old worker of a slot has left."""
        current = self._at(slot)
        return [] if current is None or current.phase is not RestartPhase.LEAVING else current.note_over(partitions)

    def old_gone(self, slot: int) -> list[Step]:
        """Note that the old worker of a slot has been reaped, whatever it died of."""
        if not self.failure and self._slots[slot].phase is RestartPhase.WAITING:
            # The supervisor replaces it as ever, by a worker that runs the new program.
            self._slots[slot].phase = RestartPhase.DONE
            return []
        current = self._at(slot)
        if current is None:
            return []
        steps = current.note_old_gone()
        if current.phase is RestartPhase.LEAVING:
            current.phase = RestartPhase.DONE
        return steps

    def new_gone(self, slot: int, why: str) -> list[Step]:
        """Note that the new worker of a slot has ended.

        Args:
            slot: The slot.
            why: Words for the line about the failure, such as "ended with status 1".
        """
        current = self._at(slot)
        if current is None:
            return []
        current.new_ready = False
        return self._fail(current, why) if current.phase is RestartPhase.STARTING else []

    def _fail(self, current: SlotRestart, reason: str, *, kill: bool = False) -> list[Step]:
        """Stop the restart; the old worker of the slot has not been touched."""
        self.failure = f"the new worker {current.slot} {reason}; the old workers go on"
        return [Step(Do.KILL_NEW, current.slot)] if kill else []
