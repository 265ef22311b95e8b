"""Times of hooks and of the messages that wait for them, measured at the edges of a batch; the batch of each task."""

from __future__ import annotations

from typing import Any

import trio

from wsframe.connection.counters import BOUNDS, PathCounters
from wsframe.connection.mailbox import Mailbox

__all__ = ["Stopwatch", "Turn"]

QUICK = BOUNDS[0]


class Turn:
    """The batch of hooks that a task calls now, for the watchdog, which looks from another thread."""

    __slots__ = ("since", "task", "told")

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self.task: trio.lowlevel.Task = task
        self.since: float = 0.0
        """When the batch began; 0 between two batches. A batch that takes long is one long hook."""
        self.told: float = 0.0
        """The beginning of the last one that was reported."""


class Stopwatch:
    """Measures the batches from one mailbox.

    It costs a call for each batch, and nothing for a message: the batch reads the clock before each message anyway,
    because it ends after 2 ms. So a hook that takes longer than that is the last one of its batch, and its time is
    known. For the shorter hooks before it only the mean is known.

    How long a message waits is known if it came into an empty mailbox, which notes the time. While the mailbox does not
    get empty, a batch marks the place after the last message at its end: the time until the hooks get there is the time
    that the next message waits.

    Args:
        counters: Takes the times.
        mailbox: The mailbox.
    """

    __slots__ = (
        "_ahead", "_entries", "_hook_counts", "_hooks", "_mailbox", "_marked_at", "_wait_counts", "_waits",
    )  # fmt: skip

    def __init__(self, counters: PathCounters, mailbox: Mailbox[Any]) -> None:
        self._hooks, self._waits = counters.hooks, counters.waits
        self._hook_counts, self._wait_counts = counters.hooks.counts, counters.waits.counts
        self._mailbox, self._entries = mailbox, mailbox.entries
        self._ahead = 0
        """Messages before the place that is marked; 0 for no mark."""
        self._marked_at = 0.0

    def note(self, rung_at: float, began: float, last: float, ended: float, count: int) -> None:
        """Count the times of a batch.

        Args:
            rung_at: When the mailbox had been rung last before it.
            began: When it began.
            last: When its last hook began.
            ended: When that ended.
            count: How many hooks there were.
        """
        if ended - rung_at < QUICK and not self._ahead and not self._entries:
            # Nearly always: the wait and each of the hooks are in the first bucket then.
            self._hook_counts[0] += count
            self._wait_counts[0] += 1
            self._hooks.seconds += ended - began
            self._waits.seconds += began - rung_at
        else:
            self._note_hooks(began, last, ended, count)
            self._note_wait(rung_at, began, ended, count)

    def _note_hooks(self, began: float, last: float, ended: float, count: int) -> None:
        hooks, spent = self._hooks, ended - began
        if spent < QUICK:
            self._hook_counts[0] += count
            hooks.seconds += spent
            return
        if count > 1:
            hooks.add((last - began) / (count - 1), count - 1)
        if count:
            hooks.add(ended - last)

    def _note_wait(self, rung_at: float, began: float, ended: float, count: int) -> None:
        if not self._ahead:
            self._waits.add(began - rung_at)
        elif count < self._ahead:
            self._ahead -= count
            return
        else:
            self._waits.add(ended - self._marked_at)
            self._ahead = 0
        # If the mailbox was rung in the meantime, it has been empty: the next message came then.
        if self._entries and self._mailbox.doorbell.rung_at == rung_at:
            self._ahead = len(self._entries)
            self._marked_at = ended
