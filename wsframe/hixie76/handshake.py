"""The opening handshake of version 0: its checks, its challenge and its 101.

The challenge is two keys in the request, eight bytes after it, and sixteen after the answer. It proves that the server
understood the request, as Sec-WebSocket-Accept does in RFC 6455.
Source: draft-hixie-thewebsocketprotocol-76 sections 1.3 and 5.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import md5

from wsframe.http.handshake import head
from wsframe.http.request import Headers, Request
from wsframe.http.responses import Reject

__all__ = ["NONCE", "check_keys", "solve", "switching_protocols", "valid_keys"]

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


def check_keys(headers: Headers) -> None:
    """Check the two keys and the origin.

    Raises:
        Reject: 400 for a handshake that cannot be answered.
    """
    if not valid_keys(headers):
        raise Reject(400, body="Sec-WebSocket-Key1 and -Key2 are not two keys of hixie-76")
    if "origin" not in headers:  # its answer must name the origin
        raise Reject(400, body="a handshake of hixie-76 has an Origin")


def switching_protocols(
    request: Request, headers: Headers, nonce: bytes, subprotocol: str | None, extra: Iterable[tuple[str, str]]
) -> bytes:
    """Make the 101 of hixie-76, with the bytes that answer its challenge (section 5.2).

    Raises:
        ValueError: For a header name or value that would break out of its line.
    """
    target = request.path if request.query_string is None else f"{request.path}?{request.query_string}"
    location = f"{'wss' if request.secure else 'ws'}://{headers.get('host', '')}{target}"
    # Its clients compare all of these, Upgrade letter by letter.
    fields = [
        ("Upgrade", "WebSocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Origin", headers["origin"]),
        ("Sec-WebSocket-Location", location),
    ]
    if subprotocol is not None:
        fields.append(("Sec-WebSocket-Protocol", subprotocol))
    return head(101, [*fields, *extra]) + solve(headers, nonce)
