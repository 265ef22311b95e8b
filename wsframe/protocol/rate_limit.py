"""Token buckets: how much a client can send in the long run, with room for bursts."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Bucket", "Buckets"]

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


class Buckets:
    """The rates of one client: one bucket for its messages, and one for its bytes.

    Args:
        rates: Messages and bytes per second; None for any number.
        now: The time.
    """

    __slots__ = ("_buckets",)

    def __init__(self, rates: Sequence[float | None], now: float) -> None:
        self._buckets = [None if rate is None else Bucket(rate, now) for rate in rates]

    def take(self, taken: Sequence[int], now: float) -> float:
        """Take messages and bytes that have come; return the seconds until nothing more is owed."""
        pairs = zip(self._buckets, taken, strict=True)
        return max((bucket.take(tokens, now) for bucket, tokens in pairs if bucket is not None), default=0.0)

    def tokens(self, now: float) -> tuple[float | None, ...]:
        """Return the messages and bytes that the client can send now; None for any number."""
        return tuple(None if bucket is None else bucket.tokens(now) for bucket in self._buckets)

    def set_tokens(self, tokens: Sequence[float | None], now: float) -> None:
        """Go on with rates that have been used up in part."""
        for bucket, left in zip(self._buckets, tokens, strict=False):
            if bucket is not None and left is not None:
                bucket.take(bucket.tokens(now) - left, now)
