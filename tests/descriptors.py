"""The open descriptors of this process."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["none_stays_open"]


@contextmanager
def none_stays_open() -> Iterator[None]:
    """Check that the body leaves no descriptor open.

    Numbers are compared, not their count: sockets of an earlier test can be collected at any time.
    """
    gc.collect()
    before = numbers()
    yield
    assert numbers() <= before


def numbers() -> set[str]:
    return set(os.listdir("/proc/self/fd" if os.path.exists("/proc/self/fd") else "/dev/fd"))
