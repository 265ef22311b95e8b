"""Token buckets: how much a client may send in the long run, with room for bursts."""

from __future__ import annotations

__all__ = ["Bucket"]

BURST_SECONDS = 1.0


class Bucket:
    """Tokens that fill up at a rate, at most one second's worth; taking more makes debt.

    Args:
        rate: Tokens per second.
        now: The time, in seconds of the clock that all later times are of.
    """

    __slots__ = ("_at", "_level", "_rate")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._level = rate * BURST_SECONDS
        self._at = now

    def tokens(self, now: float) -> float:
        """Return the tokens there are; negative for a debt."""
        return min(self._rate * BURST_SECONDS, self._level + (now - self._at) * self._rate)

    def take(self, tokens: float, now: float) -> float:
        """Take tokens, there or not; return the seconds until the debt is paid, 0 without any."""
        level = self.tokens(now) - tokens
        self._level, self._at = level, now
        return -level / self._rate if level < 0 else 0.0
