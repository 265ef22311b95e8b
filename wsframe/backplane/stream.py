"""One unix stream of frames, written and read in whole batches.

The bytes that wait to be written are bounded, and writing is a task of its own: a caller that has a frame to
send never waits.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from wsframe.backplane.frames import Frame, FrameReader
from wsframe.backplane.queue import LIMIT
from wsframe.doorbell import Doorbell

__all__ = ["READ", "Outgoing", "read_frames"]

READ = 256 << 10
"""Bytes of one read."""


class Outgoing:
    """The frames that wait to be written to a stream."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._frames: list[bytes] = []
        self._bytes = 0
        self.doorbell: Doorbell = Doorbell()

    def put(self, data: bytes) -> bool:
        """Queue a frame; return False if there is no room."""
        if not self.has_room(len(data)):
            return False
        self.force(data)
        return True

    def has_room(self, size: int) -> bool:
        """Return whether there is room for a frame of that many bytes."""
        return not self._bytes or self._bytes + size <= self._limit

    def force(self, data: bytes) -> None:
        """Queue a frame that is small and must not be lost, also beyond the limit."""
        self._frames.append(data)
        self._bytes += len(data)
        self.doorbell.ring()

    def take(self) -> bytes:
        """Return all that waits; it waits no longer."""
        data = b"".join(self._frames)
        self._frames.clear()
        self._bytes = 0
        return data

    async def write(self, stream: trio.abc.SendStream, sent: Callable[[], object] | None = None) -> None:
        """Write for as long as the stream lasts; call ``sent`` whenever nothing is left to write."""
        while True:
            data = self.take()
            if data:
                await stream.send_all(data)
            else:
                if sent is not None:
                    sent()
                await self.doorbell.wait()


async def read_frames(stream: trio.abc.ReceiveStream, take: Callable[[Frame], object]) -> None:
    """Pass on each frame until the stream ends.

    Raises:
        MalformedFrame: For bytes that are not a frame.
        trio.BrokenResourceError: If the other end is gone.
    """
    reader = FrameReader()
    while data := await stream.receive_some(READ):
        for one in reader.feed(bytes(data)):
            take(one)
