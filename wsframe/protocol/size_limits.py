"""Allows or refuses a data frame by its header, before there is a payload to hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

from wsframe.limits import Limits

__all__ = ["Check", "Kind", "SizeLimits", "most_compressed"]

Kind: TypeAlias = Literal["text", "binary"]
Check: TypeAlias = Callable[[Kind, int, int], tuple[int, str] | None]
"""Takes the kind of message, the bytes of the frame, and the bytes of its message up to and with it.
Returns the code and reason to close with, or None."""

NO_RESERVED_BITS = RsvBits(False, False, False)
KINDS: dict[Opcode, Kind] = {Opcode.TEXT: "text", Opcode.BINARY: "binary"}


def most_compressed(max_message: int) -> int:
    """Return the bytes on the wire of a compressed message at most.

    Incompressible payload grows: zlib adds 5 bytes to each 16 KiB, and a few at the end.
    The inflated message is held to the limit by the extension that inflates it.
    """
    return max_message + max_message // 256 + 64


class SizeLimits(Extension):
    """Enforces the limits of frame, message and fragments from the frame headers.

    It is private: never offered, never named in the 101. Sizes are bytes on the wire,
    because text counted in characters would pass four times too much.

    Args:
        limits: The limits; no field can be at ``INHERIT``.
        check: Asked about each data frame within them.
    """

    name = "wsframe-size-limits"

    def __init__(self, limits: Limits, check: Check | None = None) -> None:
        self.limits = limits
        self.refusal: tuple[int, str] | None = None
        """The close code and reason of the check that refused a frame."""
        self.byte_count: int = 0
        """Bytes of payload of the message's whole frames."""
        self.fragments: int = 0
        self.most: int = limits.max_message
        self.check = check
        self._arriving = 0, 0
        self._checked = False
        self._kind: Kind | None = None

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool:
        return False

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        # wsproto asks again for every read that brings some of the masking key and not all
        # of it, so a frame is counted when it is whole and only checked here.
        if opcode.iscontrol():
            self._arriving = 0, 0
            return NO_RESERVED_BITS
        if opcode is not Opcode.CONTINUATION:
            self.byte_count = self.fragments = 0
            self._kind = KINDS.get(opcode)
            most = self.limits.max_message
            self.most = most_compressed(most) if rsv.rsv1 else most
        self._arriving = payload_length, 1
        limits = self.limits
        too_big = self.byte_count + payload_length > self.most or self.fragments + 1 > limits.max_fragments
        if too_big or (limits.max_frame is not None and payload_length > limits.max_frame):
            return CloseReason.MESSAGE_TOO_BIG
        if self.check is not None and not self._checked:
            self._checked = True
            if self._kind is not None:  # else a continuation of nothing, which the engine refuses
                self.refusal = self.check(self._kind, payload_length, self.byte_count + payload_length)
        return NO_RESERVED_BITS if self.refusal is None else CloseReason.POLICY_VIOLATION

    def frame_inbound_complete(self, proto: FrameDecoder | FrameProtocol, fin: bool) -> None:
        byte_count, fragments = self._arriving
        self.byte_count += byte_count
        self.fragments += fragments
        self._checked = False
