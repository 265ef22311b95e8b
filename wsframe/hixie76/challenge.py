"""The challenge of hixie-76: two keys in the request, eight bytes after it, sixteen after the answer.

It proves that the server understood the request, as Sec-WebSocket-Accept does in RFC 6455.
Source: draft-hixie-thewebsocketprotocol-76 sections 1.3 and 5.2.
"""

from __future__ import annotations

from hashlib import md5

from wsframe.http.request import Headers

__all__ = ["NONCE", "solve", "valid_keys"]

NONCE = 8
"""Bytes after the head of the request."""

KEYS = ("sec-websocket-key1", "sec-websocket-key2")
# Digits of the greatest number a key may hold, 2**32 - 1.
MOST_DIGITS = 10


def part(key: str) -> int | None:
    """Read the number in a key: its digits divided by its spaces; None if that is not a whole number of 32 bits."""
    digits = "".join(character for character in key if "0" <= character <= "9")
    spaces = key.count(" ")
    if not digits or len(digits) > MOST_DIGITS or int(digits) >= 1 << 32 or not spaces or int(digits) % spaces:
        return None
    return int(digits) // spaces


def valid_keys(headers: Headers) -> bool:
    """Return whether there is one of each key, with a number in it."""
    return all(len(values := headers.getall(name)) == 1 and part(values[0]) is not None for name in KEYS)


def solve(headers: Headers, nonce: bytes) -> bytes:
    """Answer the challenge of a request with valid keys."""
    parts = [(part(headers[name]) or 0).to_bytes(4, "big") for name in KEYS]
    return md5(b"".join([*parts, nonce]), usedforsecurity=False).digest()
