"""The payload of a message that a user sends: checked, and made bytes that cannot change."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["BINARY_TYPES", "MESSAGE_TYPES", "PING_TYPES", "TEXT_TYPES", "BytesLike", "bytes_of", "encode"]

BytesLike = bytes | bytearray | memoryview

# The types allowed, in the words of the TypeError for anything else.
MESSAGE_TYPES = "a message must be str, bytes, bytearray or memoryview"
TEXT_TYPES = "a text message must be str, or UTF-8 as bytes, bytearray or memoryview"
BINARY_TYPES = "a binary message must be bytes, bytearray or memoryview"
PING_TYPES = "the payload of a ping must be bytes, bytearray or memoryview"

# Used for subclasses too: one with its own ``encode`` could return anything.
encode: Callable[[str], bytes] = str.encode
ALL = slice(None)


def bytes_of(message: object, wanted: str) -> bytes:
    """Return exact and immutable bytes.

    A bytearray can change while it waits to be sent. A subclass can say another length than it
    has, or show another buffer, and break the frame: it is copied without asking it.
    """
    if type(message) is bytes:
        return message
    if isinstance(message, bytes):
        return bytes.__getitem__(message, ALL)
    if isinstance(message, bytearray):
        return bytes(bytearray.__getitem__(message, ALL))
    if isinstance(message, memoryview):
        return bytes(message)
    raise TypeError(f"{wanted}, not {type(message).__name__}")
