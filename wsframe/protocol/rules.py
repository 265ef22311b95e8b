"""Which rule a frame breaks, in words for the close reason and the log: decided by its header alone."""

from __future__ import annotations

from wsframe.protocol.frames import BINARY, CLOSE, CONTINUATION, FIN, MAX_CONTROL_PAYLOAD, PING, PONG, RSV1, TEXT

__all__ = ["broken_rule", "may_be_close"]

RESERVED = 0x70
DATA = frozenset({TEXT, BINARY})
CONTROL = frozenset({CLOSE, PING, PONG})


def may_be_close(head: bytes | bytearray, *, masked: bool) -> bool:
    """Return whether a whole header belongs to a close frame and keeps to the rules."""
    return head[0] == FIN | CLOSE and head[1] >> 7 == masked and head[1] & 0x7F <= MAX_CONTROL_PAYLOAD


def broken_rule(head: bytes | bytearray, *, masked: bool, begun: bool, compressed: bool) -> str:
    """Name the rule of RFC 6455 section 5 that a frame breaks.

    Args:
        head: The header of the frame, as much as has come.
        masked: Whether the peer masks its frames.
        begun: Whether a message has begun, of which this is not the first frame.
        compressed: Whether RSV1 is allowed (RFC 7692 section 6).
    """
    if len(head) < 2:
        return "protocol error"
    opcode, length = head[0] & 0x0F, head[1] & 0x7F
    reserved = head[0] & RESERVED & ~(RSV1 if compressed and opcode in DATA else 0)
    rules = (
        (opcode not in DATA | CONTROL | {CONTINUATION}, f"unknown opcode {opcode}"),
        (opcode in CONTROL and not head[0] & FIN, "a control frame in fragments"),
        (opcode in CONTROL and length > MAX_CONTROL_PAYLOAD, "a control frame above 125 bytes"),
        (reserved, "reserved bits are set"),
        (masked and not head[1] & 0x80, "a frame without a mask"),
        (not masked and head[1] & 0x80, "a frame with a mask"),
        (opcode == CONTINUATION and not begun, "a continuation without a message"),
        (opcode in DATA and begun, "a message inside another"),
        (length > MAX_CONTROL_PAYLOAD, "a length that is not written the shortest way, or above 2**63 - 1"),
    )
    return next((rule for broken, rule in rules if broken), "protocol error")
