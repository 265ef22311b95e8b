"""The supervisor's tables, without input or output: is a process alive, and when does its successor start?

The life of one process, of which ``ProcessWatch`` is the table:

========== =========================================== =====================================================
State      Ends with                                   Then
========== =========================================== =====================================================
STARTING   the process says that it is ready           READY
READY      ``SUSPICIOUS`` looks without another beat   SILENT, and a line in the log
SILENT     a beat                                      READY, and a line in the log
SILENT     ``patience`` of looks without a beat        SIGKILL
any        the time that it has to leave, in looks     SIGKILL
========== =========================================== =====================================================

During a restart a worker does not count as silent while it begins lives, which can take as long as at a start, or while
it gives its lives away, for which the table of the restart has a deadline.

Time is counted in looks of the supervisor, and clocks are not compared: when the machine was suspended or the
supervisor stopped, all beats are old at once, and no process must be killed for that. A look that comes late counts
nothing (``Looks``).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from math import ceil, inf
from random import random
from typing import Final

from wsframe.workers.board import SlotState

__all__ = ["CANNOT_START", "LONGEST_PAUSE", "LOOK", "Act", "Looks", "ProcessWatch", "RestartBackoff", "reason_of"]

CANNOT_START: tuple[type[OSError], type[RuntimeError]] = (OSError, RuntimeError)
"""Raised if the machine cannot start a process now: it has no processes, memory or descriptors left, or (RuntimeError)
no thread from which trio could start it."""
LOOK: Final = 0.5
"""Seconds between two looks."""
LATE: Final = 2 * LOOK
"""Seconds after the last look from which a look counts nothing."""
SUSPICIOUS: Final = 3
"""Looks without another beat until a worker counts as silent; it makes two beats in each."""

STEADY: Final = 10.0
"""The end of a process that has been ready for this many seconds is not one in a row."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""The pause before a successor starts, after the second end in a row, and the longest one."""


class Act(Enum):
    """A step for the supervisor."""

    WARN = "say that it is silent"
    CALM = "say that it is back"
    KILL_SILENT = "kill it: its event loop has stood still for too long"
    KILL_LATE = "kill it: it should have left"


class Looks:
    """The supervisor's looks, by its own clock.

    Args:
        now: The time.
    """

    def __init__(self, now: float) -> None:
        self._last = now

    def counts(self, now: float) -> bool:
        """Note a look; return whether it counts, because the supervisor itself has not slept through others."""
        last, self._last = self._last, now
        return now - last < LATE


class ProcessWatch:
    """The state of one process.

    Args:
        patience: Seconds without a beat until it is killed; infinite for never.
    """

    def __init__(self, patience: float = inf) -> None:
        self.state: SlotState = SlotState.STARTING
        self._patience = patience if patience == inf else max(SUSPICIOUS + 1, ceil(patience / LOOK))
        self._beats = 0
        self._silent = 0
        self._left: float = inf
        self._excused = 0
        """Looks for which no beat is demanded."""
        self._looks_ready = 0

    @property
    def steady(self) -> bool:
        """Whether it has been ready for long."""
        return self._looks_ready * LOOK >= STEADY

    def ready(self) -> None:
        """Note that it is ready."""
        self.state = SlotState.READY

    def begin(self) -> None:
        """Note that it is ready if that is not known yet."""
        if self.state is SlotState.STARTING:
            self.ready()

    def leave_within(self, seconds: float) -> None:
        """Note that it has been told to leave; a second order can only bring its end forward."""
        self._left = min(self._left, seconds if seconds == inf else ceil(seconds / LOOK))

    def excuse(self, seconds: float) -> None:
        """Demand no beat for this many seconds."""
        self._excused = max(self._excused, ceil(seconds / LOOK))

    def look(self, beats: int) -> Act | None:
        """Note the beats at a look that counts; return the step for them."""
        self._left -= 1
        if self._left < 0:
            self._left = inf
            return Act.KILL_LATE
        if self.state is SlotState.STARTING or self._left < inf:  # one that imports, or leaves, beats no more
            return None
        self._looks_ready += 1
        excused, self._excused = self._excused, max(0, self._excused - 1)
        if beats != self._beats:
            self._beats, self._silent = beats, 0
            if self.state is SlotState.SILENT:
                self.state = SlotState.READY
                return Act.CALM
            return None
        if excused:
            return None
        self._silent += 1
        if self._silent == SUSPICIOUS:
            self.state = SlotState.SILENT
            return Act.WARN
        return Act.KILL_SILENT if self._silent == self._patience else None


class RestartBackoff:
    """The pauses before the successors of one slot: none after a long life, then longer ones, each by chance.

    Args:
        chance: Returns a number from 0 to 1.
    """

    def __init__(self, chance: Callable[[], float] = random) -> None:
        self._chance = chance
        self._in_a_row = 0

    def pause(self, *, steady: bool) -> float:
        """Note an end; return the seconds until the successor starts.

        Args:
            steady: Whether the process had been ready for long.
        """
        self._in_a_row = 1 if steady else self._in_a_row + 1
        if self._in_a_row == 1:
            return 0.0
        longest = min(FIRST_PAUSE * 2.0 ** min(self._in_a_row - 2, 30), LONGEST_PAUSE)
        return longest * (0.5 + self._chance() / 2)


def reason_of(error: Exception) -> str:
    """Return why a process cannot start, in a few words; a folder or program that is missing is named."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return error.strerror if error.filename is None else f"{error.strerror}: {os.fsdecode(error.filename)}"
