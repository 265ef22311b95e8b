"""Keeps the memory that large messages leave behind, for the next ones."""

from __future__ import annotations

from functools import cache

__all__ = ["keep_freed_memory"]

# glibc gives the top of the heap back to the system when twice the largest block that was ever
# mapped and freed lies there unused. With nothing large freed yet, each message of 1 MiB would
# pay for its pages again, which is half of its cost or more. This block's pages are never touched.
LARGEST_BLOCK = 16 * 1024 * 1024


@cache  # a second block would be cut from the heap and zeroed there
def keep_freed_memory() -> None:
    """Have the process keep up to twice :data:`LARGEST_BLOCK` that lies unused; without glibc this does nothing."""
    bytes(LARGEST_BLOCK)
