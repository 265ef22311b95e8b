"""A histogram of durations in steps of one percent; its size does not depend on their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import ceil, floor, log

__all__ = ["LatencyHistogram"]

# Neighbouring steps differ by one percent; nothing is shorter than the least.
STEP = log(1.01)
LEAST = 1e-6


class LatencyHistogram:
    """Durations in seconds, exact to one percent."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.longest: float = 0.0

    def __len__(self) -> int:
        return self._counts.total()

    def note(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[floor(log(max(seconds, LEAST) / LEAST) / STEP)] += 1
        self.longest = max(self.longest, seconds)

    def quantile(self, share: float) -> float:
        """Return the duration that this share of all durations does not exceed; 0 if there are not any."""
        wanted = max(1, ceil(share * len(self)))
        for step, seen in self._accumulated():
            if seen >= wanted:
                return min(self.longest, LEAST * 1.01 ** (step + 1))
        return 0.0

    def _accumulated(self) -> Iterator[tuple[int, int]]:
        seen = 0
        for step, count in sorted(self._counts.items()):
            seen += count
            yield step, seen

    def doublings(self) -> list[tuple[float, int]]:
        """Return upper bounds, each twice the previous, with the number of durations between the previous and it."""
        counts: Counter[int] = Counter()
        for step, count in self._counts.items():
            counts[floor(step * STEP / log(2))] += count
        if not counts:
            return []
        return [(LEAST * 2.0 ** (power + 1), counts[power]) for power in range(min(counts), max(counts) + 1)]
