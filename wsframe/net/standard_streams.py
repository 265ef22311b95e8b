"""The descriptors of the standard streams, which sockets must not get: C code writes its complaints to number 2."""

from __future__ import annotations

import os

__all__ = ["fill_descriptors"]


def fill_descriptors() -> None:
    """Open the null device at each standard stream that is closed; processes started here inherit it."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            os.set_inheritable(opened, True)
