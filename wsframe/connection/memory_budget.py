"""What all clients of a server make it hold, in octets."""

from __future__ import annotations

import sys

__all__ = ["Budget"]


class Budget:
    """Octets that wait in inboxes, and in outboxes whose peer does not take them.

    A frame that a broadcast shares counts for each client it waits for: that is more
    than the memory it takes, never less.
    """

    __slots__ = ("held", "limit")

    def __init__(self, limit: int = sys.maxsize) -> None:
        self.limit = limit
        self.held = 0

    @property
    def exceeded(self) -> bool:
        """Whether somebody has to make room."""
        return self.held > self.limit
