"""What all clients of a server make it hold: octets, and what the objects cost that hold them.

An empty message is no octet and yet some memory. The costs below are what CPython takes for the
objects of the smallest message, so that what is counted and what is held differ by less than
twice, whatever the size of a message.
"""

from __future__ import annotations

import sys

__all__ = ["FRAME_COST", "KEY_COST", "MESSAGE_COST", "Budget"]

FRAME_COST = 64
"""For a frame that waits to be sent: bytes of length 2 take 48, their place in a list 8 to 9."""

KEY_COST = 256
"""For a key on top of that: the object that can hold another frame takes 96, its place in a dict
with its number some 100, a short key 50."""

MESSAGE_COST = 144
"""For a message that waits for a hook: an empty str or bytes takes up to 64, the entry of a mailbox 64,
its place there 8. So does a pong or a post. In C it stands in native/speedups.h too."""


class Budget:
    """What waits in mailboxes, and in outboxes whose peer does not take it.

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
