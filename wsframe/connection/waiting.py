"""The frames that wait for one client: counted, taken off the front and out of the midst.

Whatever their number, one costs as much as another. Those that have gone leave their places
behind, which are cut off when they are half of all.
"""

from __future__ import annotations

from collections.abc import Sequence

from wsframe.connection.conflation import Keyed, Latest
from wsframe.connection.memory_budget import FRAME_COST, KEY_COST
from wsframe.protocol.frames import LARGE, Frame, LargeFrame, ends_message, is_close, is_control, starts_message

__all__ = ["FRAMES_AT_ONCE", "Waiting"]

# Frames that are joined for one call of the kernel: thirty thousand empty ones would take milliseconds.
FRAMES_AT_ONCE = 1024

# Up to so many places the ones left behind are cut off at once: that costs nothing worth saving.
FEW = 64


class Waiting:
    """Frames in the order in which they leave.

    Frames are whole; a fragmented message is a run of them. The first may have begun to leave.
    """

    __slots__ = ("_holes", "_latest", "_offset", "_start", "items", "octets")

    # What kind of frame it is, as another version of the protocol may tell it otherwise.
    is_control = staticmethod(is_control)
    is_close = staticmethod(is_close)
    starts_message = staticmethod(starts_message)
    ends_message = staticmethod(ends_message)

    def __init__(self) -> None:
        self.items: list[Frame] = []
        """The frames, behind places left by some that have gone: of these there is none unless the kernel refuses."""
        self.octets = 0
        """Octets that are still to leave."""
        self._offset = 0
        """How many of the first frame have left."""
        self._start = 0
        """Where the first frame stands."""
        self._holes = 0
        """Empty places behind it."""
        self._latest: Latest | None = None
        """Those that wait under keys; None if there has been none since nothing waited."""

    @property
    def counted(self) -> int:
        """What counts towards the limit: the octets that are still to leave, and the cost of each frame and key."""
        cost = self.octets + FRAME_COST * (len(self.items) - self._start - self._holes)
        return cost if self._latest is None else cost + KEY_COST * len(self._latest)

    @property
    def weight(self) -> int:
        """What is held in memory: a frame that has begun to leave is held whole."""
        return self.counted + self._offset

    def _behind_urgent(self) -> int:
        """Return where the messages begin: behind the frame that has begun, and the pings and pongs."""
        items = self.items
        at = self._start + (1 if self._offset else 0)
        while at < len(items) and self.is_control(items[at]):
            at += 1
        return at

    def _clear(self) -> None:
        self.items.clear()
        self._latest = None
        self.octets = self._offset = self._start = self._holes = 0

    def _keep(self, frames: Sequence[Frame]) -> None:
        """Let all frames go but the first, if it has begun to leave, and these."""
        begun = self.items[self._start : self._start + 1] if self._offset else []
        self.items[:] = [*begun, *frames]
        self._latest = None
        self._start = self._holes = 0
        self.octets = sum(map(len, self.items)) - self._offset

    def _remove(self, begin: int, end: int) -> None:
        """Take out frames that few others stand before: these move up to what is behind."""
        items, start = self.items, self._start
        if self._latest is not None:
            for frame in items[begin:end]:
                if type(frame) is not Keyed:
                    continue
                if len(frame):
                    self._latest.forget(frame)
                else:
                    self._holes -= 1
        ahead = items[start:begin]
        self._start = end - len(ahead)
        items[self._start : end] = ahead
        items[start : self._start] = [b""] * (self._start - start)
        self._compact()

    def _bury(self, frame: Keyed) -> None:
        """Take a frame out of the midst."""
        assert self._latest is not None
        self.octets -= len(frame)
        self._latest.forget(frame)
        frame.empty()
        self._holes += 1
        self._compact()

    def _compact(self) -> None:
        """Cut off the places that are left behind, once there are many."""
        items = self.items
        gone = self._start + self._holes
        if 2 * gone < len(items) and len(items) > FEW:
            return
        if self._holes:
            items[:] = [frame for frame in items if len(frame)]
        else:
            del items[:gone]
        self._start = self._holes = 0

    def _gather(self) -> bytes | memoryview:
        """Return what to send next: the rest of a begun or large frame, or small ones joined."""
        items, start = self.items, self._start
        first = items[start]
        if self._offset or len(first) >= LARGE:
            return first.rest(self._offset) if isinstance(first, LargeFrame) else memoryview(first)[self._offset :]
        size = 0
        parts: list[bytes] = []
        for at in range(start, min(start + FRAMES_AT_ONCE, len(items))):
            frame = items[at]
            size += len(frame)
            if size > LARGE:
                break
            if len(frame):
                parts.append(bytes(frame))
        return b"".join(parts)

    def _advance(self, sent: int) -> int:
        """Note that octets have left, fewer than there are; return how many frames that was."""
        items, at = self.items, self._start
        self.octets -= sent
        sent += self._offset
        while at < len(items) and sent >= len(items[at]):
            sent -= len(items[at])
            at += 1
        self._offset = sent
        gone = at - self._start
        if gone:
            self._remove(self._start, at)
        return gone
