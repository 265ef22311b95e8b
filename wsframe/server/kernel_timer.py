"""A timer of the kernel that sends a signal: it needs neither a thread nor the interpreter's lock."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from contextlib import suppress

__all__ = ["send_later"]


class SigEvent(ctypes.Structure):
    """``struct sigevent`` of Linux."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("number", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_byte * 48),
    )


class ITimerSpec(ctypes.Structure):
    """``struct itimerspec``."""

    _fields_ = (("again", ctypes.c_long * 2), ("first", ctypes.c_long * 2))


def send_later(number: int, seconds: int) -> Callable[[], object]:
    """Have the kernel send this process a signal after some seconds; return a function that calls it off.

    It works only on Linux; elsewhere it does nothing.
    """
    with suppress(AttributeError, OSError, TypeError):
        library, timer = ctypes.CDLL(None), ctypes.c_void_p()
        event = SigEvent(None, number, 0)  # SIGEV_SIGNAL
        if library.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer)) == 0:
            library.timer_settime(timer, 0, ctypes.byref(ITimerSpec((0, 0), (seconds, 0))), None)
            return lambda: library.timer_delete(timer)
    return lambda: None
