"""The times of hooks and of waiting messages, from the times at the edges of a batch."""

from __future__ import annotations

from typing import Any

from wsframe.connection.counters import BOUNDS, PathCounters
from wsframe.connection.mailbox import Mailbox
from wsframe.hooks.stopwatch import Stopwatch


class Watched:
    """A mailbox with its stopwatch, at times of the test's choice."""

    def __init__(self) -> None:
        self.mailbox: Mailbox[Any] = Mailbox()
        self.counters = PathCounters()
        self.stopwatch = Stopwatch(self.counters, self.mailbox)

    def come(self, count: int, at: float) -> None:
        empty = not self.mailbox.entries
        for _ in range(count):
            self.mailbox.put(None, object())
        if empty:
            self.mailbox.doorbell.rung_at = at

    def batch(self, began: float, last: float, ended: float, count: int, come: int = 0) -> None:
        """Take messages; others come in the meantime."""
        rung_at = self.mailbox.doorbell.rung_at
        for _ in range(count):
            self.mailbox.entries.popleft()
        self.come(come, (began + ended) / 2)
        self.stopwatch.note(rung_at, began, last, ended, count)

    @property
    def hooks(self) -> dict[float, int]:
        """How many hooks there are in the bucket up to each bound."""
        return {bound: count for bound, count in zip(BOUNDS, self.counters.hooks.counts, strict=False) if count}

    @property
    def waits(self) -> dict[float, int]:
        return {bound: count for bound, count in zip(BOUNDS, self.counters.waits.counts, strict=False) if count}


def test_a_slow_hook_is_told_from_the_fast_ones_before_it() -> None:
    watched = Watched()
    watched.come(5, 0.0)
    watched.batch(1.0, 1.0004, 1.9, 5)  # four in 0.4 ms, and one for 0.8996 s
    assert watched.hooks == {0.0001: 4, 1.0: 1}
    assert abs(watched.counters.hooks.seconds - 0.9) < 1e-9


def test_the_first_message_of_an_empty_mailbox_waits_from_when_it_came() -> None:
    watched = Watched()
    watched.come(3, 2.0)
    watched.batch(2.2, 2.2, 2.2001, 3)
    assert watched.waits == {0.25: 1}


def test_a_message_that_came_during_a_hook_waits_for_its_end() -> None:
    watched = Watched()
    watched.come(1, 0.0)
    watched.batch(0.0, 0.0, 4.0, 1, come=1)  # it came at 2, and waits since
    watched.batch(4.0, 4.0, 4.0001, 1)
    assert watched.waits == {0.0001: 1, 2.5: 1}


def test_waits_are_known_while_the_mailbox_never_gets_empty() -> None:
    """Overload: each batch takes ten, ten more come, and a thousand stay before each."""
    watched = Watched()
    watched.come(1010, 0.0)
    for step in range(1000):
        watched.batch(step * 0.01, step * 0.01, (step + 1) * 0.01, 10, come=10)
    # A message waits for a hundred batches of 10 ms, that is a second; one in so many is measured.
    assert sum(watched.waits.values()) == 10  # the first, and one in each second
    assert 0.9 < watched.counters.waits.seconds / 9 < 1.2


def test_an_idle_time_is_no_wait() -> None:
    watched = Watched()
    watched.come(1, 0.0)
    watched.batch(0.0, 0.0, 0.00001, 1)
    watched.come(1, 3600.0)
    watched.batch(3600.0, 3600.0, 3600.00001, 1)
    assert watched.waits == {0.0001: 2}


def test_a_batch_that_took_nothing_is_no_hook() -> None:
    watched = Watched()
    watched.come(1, 1.0)
    watched.batch(1.0, 1.0, 1.5, 0)
    assert watched.hooks == {}
