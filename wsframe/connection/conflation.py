"""Frames that a newer one of the same key replaces, found without a search.

A user's key may have ``__hash__`` and ``__eq__`` of its own, which may raise. They run where the
user queues a message and nowhere else: a frame that leaves is forgotten by a number and by identity.
"""

from __future__ import annotations

from collections.abc import Hashable

from wsframe.protocol.frames import Frame, LargeFrame

__all__ = ["Keyed", "Latest"]

# The header of a frame that was taken out of the middle of a queue: a data frame that is not sent.
NOTHING = b"\x81\x00"


class Keyed(LargeFrame):
    """A frame that waits under a key; its content can be replaced.

    Args:
        key: The key.
        number: Its hash.
        frame: Its first content.
    """

    __slots__ = ("following", "key", "number")
    header: bytes
    payload: bytes

    def __init__(self, key: Hashable, number: int, frame: Frame) -> None:
        self.key: Hashable = key
        self.number: int = number
        self.following: Keyed | None = None
        """Another one whose key has the same hash."""
        self.hold(frame)

    def hold(self, frame: Frame) -> None:
        """Hold another frame from now on."""
        if isinstance(frame, LargeFrame):
            super().__init__(frame.header, frame.payload)
        else:
            super().__init__(frame, b"")

    def empty(self) -> None:
        """Hold nothing: it stays where it is until others have gone too, and is not sent."""
        self.header, self.payload, self._length = NOTHING, b"", 0


class Latest:
    """The frames that wait under keys, by the hash of the key."""

    __slots__ = ("_chains", "_count")

    def __init__(self) -> None:
        self._chains: dict[int, Keyed] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, key: Hashable, number: int) -> Keyed | None:
        """Return the newest frame of a key; this runs the key's ``__eq__``, which may raise."""
        frame = self._chains.get(number)
        while frame is not None and frame.key is not key and frame.key != key:
            frame = frame.following
        return frame

    def add(self, frame: Keyed) -> None:
        """Remember a frame as the newest of its key."""
        frame.following = self._chains.get(frame.number)
        self._chains[frame.number] = frame
        self._count += 1

    def forget(self, frame: Keyed) -> None:
        """Forget a frame that waits no more."""
        self._count -= 1
        before, after = self._chains[frame.number], frame.following
        if before is not frame:
            while before.following is not frame:
                assert before.following is not None
                before = before.following
            before.following = after
        elif after is None:
            del self._chains[frame.number]
        else:
            self._chains[frame.number] = after
