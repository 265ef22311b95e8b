"""Finds the boundaries of frames that another process sends to a client, so that a close frame can follow.

Of one direction only: the answer to the handshake, and then the frames of a server, which are not masked (RFC 6455
section 5.2). The payload is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from wsframe.protocol.frames import CLOSE

__all__ = ["FrameBoundary"]

SWITCHING = b"HTTP/1.1 101 "
END_OF_HEAD = b"\r\n\r\n"
MOST_HEAD = 65536
SIZES = {126: 2, 127: 8}
"""By the first length of a frame: the bytes of the second one."""


class FrameBoundary:
    """Follows the bytes of a server.

    Args:
        clock: The time, in seconds.
    """

    __slots__ = ("_clock", "_head", "_header", "_left", "closed", "lost", "opened_at")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.opened_at: float = inf
        """When the answer to the handshake was whole."""
        self._head: bytearray | None = bytearray()
        """The answer to the handshake as far as it has come; None once it is whole."""
        self._header = bytearray()
        """A part of a header."""
        self._left = 0
        """Bytes that are left of a payload."""
        self.closed: bool = False
        """Whether a close frame has gone out."""
        self.lost: bool = False
        """Whether the bytes are not those of a WebSocket of today: a page, a refusal, or an old version."""

    @property
    def here(self) -> bool:
        """Whether a frame can follow the bytes so far."""
        return self._head is None and not (self.lost or self.closed or self._left or self._header)

    @property
    def _follows(self) -> bool:
        return not (self.lost or self.closed)

    def follow(self, data: memoryview) -> None:
        """Take bytes in the order in which they are sent."""
        if not self._follows:
            return
        if self._head is not None:
            data = self._follow_head(data)
        at, size = 0, len(data)
        while at < size and self._follows:
            if self._left:
                step = min(self._left, size - at)
                self._left -= step
                at += step
            else:
                at = self._follow_header(data, at)

    def _follow_head(self, data: memoryview) -> memoryview:
        """Take bytes of the answer to the handshake; return those after it."""
        head = self._head
        assert head is not None
        before = len(head)
        head += data
        if not head.startswith(SWITCHING[: len(head)]) or b"\r\nsec-websocket-location" in head.lower():
            self.lost = True
        end = head.find(END_OF_HEAD, max(0, before - len(END_OF_HEAD)))
        if end < 0:
            if len(head) > MOST_HEAD:
                self.lost = True
            return data[:0]
        self._head = None
        self.opened_at = self._clock()
        return data[end + len(END_OF_HEAD) - before :]

    def _follow_header(self, data: memoryview, at: int) -> int:
        """Take bytes of a header; return the place after them."""
        header = self._header
        wanted = 2 if len(header) < 2 else 2 + SIZES.get(header[1] & 127, 0)
        step = min(wanted - len(header), len(data) - at)
        header += data[at : at + step]
        if len(header) < wanted or (wanted == 2 and header[1] & 127 in SIZES):
            return at + step
        self.closed = header[0] & 15 == CLOSE
        self.lost = bool(header[1] & 128)  # a server masks nothing: these are not frames
        self._left = int.from_bytes(header[2:], "big") if wanted > 2 else header[1]
        header.clear()
        return at + step
