"""The clock by which a holder of leases stops: it goes on while the machine sleeps."""

from __future__ import annotations

import time

__all__ = ["boottime"]

CLOCK = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def boottime() -> float:
    """Return seconds by the clock that also runs while the machine sleeps, where there is one."""
    return time.monotonic() if CLOCK is None else time.clock_gettime(CLOCK)
