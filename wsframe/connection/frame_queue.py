"""The frames that wait for one client: counted, taken off the front and out of the middle.

One costs the same whatever their number. Frames that have gone leave empty places, which are
cut off when they are half of all.
"""

from __future__ import annotations

from collections.abc import Sequence

from wsframe.connection.conflation import Keyed, Latest
from wsframe.connection.memory_budget import FRAME_COST, KEY_COST
from wsframe.protocol.frames import LARGE, Frame, LargeFrame, ends_message, is_close, is_control, starts_message

__all__ = ["FRAMES_AT_ONCE", "FrameQueue"]

# Frames that are joined for one call of the kernel: thirty thousand empty ones would take milliseconds.
FRAMES_AT_ONCE = 1024

# Up to this many places, empty ones are cut off immediately: that costs too little to be worth saving.
FEW = 64


class FrameQueue:
    """Frames in the order in which they leave.

    Frames are whole; a fragmented message is a run of them. The first may have begun to leave.
    """

    __slots__ = ("_holes", "_latest", "_offset", "_start", "byte_count", "items")

    # The kind of a frame; another version of the protocol can replace these.
    is_control: staticmethod[[Frame], bool] = staticmethod(is_control)
    is_close: staticmethod[[Frame], bool] = staticmethod(is_close)
    starts_message: staticmethod[[Frame], bool] = staticmethod(starts_message)
    ends_message: staticmethod[[Frame], bool] = staticmethod(ends_message)

    def __init__(self) -> None:
        self.items: list[Frame] = []
        """The frames, after empty places of some that have gone; these exist only if the kernel refuses bytes."""
        self.byte_count: int = 0
        """Bytes that are still to leave."""
        self._offset = 0
        """The bytes of the first frame that have left."""
        self._start = 0
        """The index of the first frame."""
        self._holes = 0
        """Empty places after it."""
        self._latest: Latest | None = None
        """Frames that wait under keys; None if no such frame has come since the outbox was empty."""

    @property
    def counted(self) -> int:
        """The sum that the limit bounds: bytes that are still to leave, and the cost of each frame and key."""
        cost = self.byte_count + FRAME_COST * (len(self.items) - self._start - self._holes)
        return cost if self._latest is None else cost + KEY_COST * len(self._latest)

    @property
    def weight(self) -> int:
        """The bytes held in memory: a frame that has begun to leave is held whole."""
        return self.counted + self._offset

    def _behind_urgent(self) -> int:
        """Return the index of the first message: after the frame that has begun, and the pings and pongs."""
        items = self.items
        at = self._start + (1 if self._offset else 0)
        while at < len(items) and self.is_control(items[at]):
            at += 1
        return at

    def _clear(self) -> None:
        self.items.clear()
        self._latest = None
        self.byte_count = self._offset = self._start = self._holes = 0

    def _keep(self, frames: Sequence[Frame]) -> None:
        """Let all frames go but the first, if it has begun to leave, and these."""
        begun = self.items[self._start : self._start + 1] if self._offset else []
        self.items[:] = [*begun, *frames]
        self._latest = None
        self._start = self._holes = 0
        self.byte_count = sum(map(len, self.items)) - self._offset

    def _remove(self, begin: int, end: int) -> None:
        """Take out frames near the front: the few before them move up to those after them."""
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
        """Take a frame out of the middle."""
        assert self._latest is not None
        self.byte_count -= len(frame)
        self._latest.forget(frame)
        frame.empty()
        self._holes += 1
        self._compact()

    def _compact(self) -> None:
        """Cut off empty places, once there are many."""
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
        """Return the bytes to send next: the rest of a begun or large frame, or small ones joined."""
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
        """Note that bytes have left, fewer than there are; return the number of frames that went with them."""
        items, at = self.items, self._start
        self.byte_count -= sent
        sent += self._offset
        while at < len(items) and sent >= len(items[at]):
            sent -= len(items[at])
            at += 1
        self._offset = sent
        gone = at - self._start
        if gone:
            self._remove(self._start, at)
        return gone
