"""How long a test waits for another program, thread or event before it calls it hung."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen
from threading import Timer
from typing import Any

__all__ = ["PATIENCE", "watched"]

PATIENCE = 240
"""Seconds. A busy machine starts four workers and a relay in one minute: this never measures its speed."""


@contextmanager
def watched(process: Popen[Any], seconds: float = PATIENCE) -> Iterator[None]:
    """Kill a program after the body; and before, if the body takes too long, which ends every wait for its output."""
    watchdog = Timer(seconds, process.kill)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()
        watchdog.join()
        process.kill()
