"""The opening handshake of version 0: its checks, its nonce and its 101."""

from __future__ import annotations

from collections.abc import Iterable

from wsframe.hixie76.challenge import NONCE, solve, valid_keys
from wsframe.http.handshake import head
from wsframe.http.request import Headers, Request
from wsframe.http.responses import Reject

__all__ = ["NONCE", "check_keys", "switching_protocols"]


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
