"""Frames as a client makes them, right or wrong: the only encoder of the tests, made without the package's own."""

from __future__ import annotations

__all__ = ["MASK", "frame", "header"]

MASK = b"\x12\x34\x56\x78"

MASK_BIT = 0x80
SHORT = {2: 126, 8: 127}
"""Stands in the place of a length that takes so many bytes of its own."""


def header(first: int, length: int, *, mask: bytes | None = MASK, form: int | None = None) -> bytes:
    """Make the header of a frame; it can declare bytes that never come.

    Args:
        first: The whole first byte: FIN, reserved bits, opcode.
        length: The length to declare.
        mask: The masking key; None leaves the frame unmasked.
        form: Bytes of the extended length (0, 2 or 8); None takes the fewest.
    """
    if form is None:
        form = 0 if length < 126 else 2 if length < 65536 else 8
    second = SHORT.get(form, length) | (0 if mask is None else MASK_BIT)
    return bytes((first, second)) + (length.to_bytes(form, "big") if form else b"") + (mask or b"")


def frame(
    first: int, payload: bytes = b"", *, mask: bytes | None = MASK, length: int | None = None, form: int | None = None
) -> bytes:
    """Make a frame; ``length`` is declared instead of the payload's, the others are those of :func:`header`."""
    head = header(first, len(payload) if length is None else length, mask=mask, form=form)
    if mask is None:
        return head + payload
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return head + masked.to_bytes(len(payload), "big")
