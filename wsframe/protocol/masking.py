"""Frames of a client: masked, each with a key of its own (RFC 6455 section 5.3)."""

from __future__ import annotations

from collections.abc import Callable
from os import urandom

from wsframe.protocol.frames import FIN, LARGE, Frame, LargeFrame, data_frames, header, unmask

__all__ = ["Masker"]

# One call of the kernel for this many bytes of keys: it costs as much as masking a short frame.
KEYS_AT_ONCE = 4096
KEY = 4


class Masker:
    """Makes masked frames.

    The author of a message must not foresee its key, or he chooses bytes that a proxy on the
    way takes for HTTP (RFC 6455 section 10.3): keys are from the system's random source.

    Args:
        random: Returns that many unpredictable bytes.
    """

    __slots__ = ("_at", "_keys", "_random")

    def __init__(self, random: Callable[[int], bytes] = urandom) -> None:
        self._random = random
        self._keys = b""
        self._at = 0

    def frame(self, first: int, payload: bytes) -> Frame:
        """Make one masked frame; ``first`` is its first byte."""
        at = self._at
        if at >= len(self._keys):
            self._keys = self._random(KEYS_AT_ONCE)
            at = 0
        self._at = at + KEY
        key = self._keys[at : at + KEY]
        length = len(payload)
        if length < 126:
            return bytes((first, 0x80 | length)) + key + unmask(payload, key)
        head = header(first, length)
        head = b"".join((head[:1], bytes((0x80 | head[1],)), head[2:], key))
        masked = unmask(payload, key)
        return head + masked if length < LARGE else LargeFrame(head, masked)

    def message(self, opcode: int, payload: bytes) -> Frame:
        """Make one frame that holds a whole message; the opcode can have RSV1 on it."""
        return self.frame(FIN | opcode, payload)

    def fragments(self, opcode: int, payload: bytes, frame_size: int) -> list[Frame]:
        """Split a message into frames of at most ``frame_size`` bytes of payload.

        Raises:
            ValueError: For a frame size below 1.
        """
        unmasked = data_frames(opcode, payload, frame_size)
        return [self.frame(frame[0], frame[{126: 4, 127: 10}.get(frame[1], 2) :]) for frame in unmasked]

    def mask(self, frame: bytes) -> bytes:
        """Mask a control frame that was made without a mask."""
        return bytes(self.frame(frame[0], frame[2:]))
