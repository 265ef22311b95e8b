"""The memory that all clients of a server make it hold: bytes, and the cost of the objects that hold them.

An empty message has no bytes and yet takes memory. The costs below are those of CPython for the
objects of the smallest message, so that the counted and the real memory differ by less than a
factor of two, whatever the size of a message.
"""

from __future__ import annotations

import sys
from functools import lru_cache

__all__ = ["FRAME_COST", "KEY_COST", "MESSAGE_COST", "Budget", "shares_of"]

FRAME_COST = 64
"""For a frame that waits to be sent: bytes of length 2 take 48, their place in a list 8 to 9."""

KEY_COST = 256
"""For a key on top of that: the object that can hold another frame takes 96, its place in a dict
with its number some 100, a short key 50."""

MESSAGE_COST = 144
"""For a message that waits for a hook: an empty str or bytes takes up to 64, the entry of a mailbox 64,
its place there 8. So does a pong or a post. In C it stands in speedups/speedups.h too."""


class Budget:
    """The bytes that wait in mailboxes, and in outboxes whose peer does not take them.

    A frame that a broadcast shares counts for each client it waits for: that is more
    than the memory it takes, never less.
    """

    __slots__ = ("held", "limit")

    def __init__(self, limit: int = sys.maxsize) -> None:
        self.limit: int = limit
        self.held: int = 0

    @property
    def exceeded(self) -> bool:
        """Whether a client has to make room."""
        return self.held > self.limit


@lru_cache(maxsize=64)
def shares_of(limit: int) -> tuple[int, int]:
    """Return how many bytes and frames certainly have room; clients with the same limit share the numbers."""
    return limit // 2, limit // 2 // FRAME_COST - 1
