"""A request target that names its server itself (RFC 9112 section 3.2.2)."""

from __future__ import annotations

from re import compile as pattern

from wsframe.http.origins import split_host
from wsframe.http.responses import Reject

__all__ = ["reduce_target", "with_host"]

ABSOLUTE = pattern(rb"(?i:https?|wss?)://([^/?]*)(.*)")

Fields = list[tuple[bytes, bytes]]


def reduce_target(target: bytes, fields: Fields, method: str) -> tuple[bytes, Fields]:
    """Reduce an absolute target to its path and query, and put its authority in the place of Host.

    An origin server must then ignore the Host field, and so must any later reader of it.

    Raises:
        Reject: 400 for a target of another scheme, without a valid authority, or of no form there is.
    """
    if target.startswith(b"/") or method == "CONNECT" or (target == b"*" and method == "OPTIONS"):
        return target, fields
    absolute = ABSOLUTE.fullmatch(target)
    if absolute is None or not split_host(absolute[1].decode("ascii"))[0]:
        raise Reject(400, body="malformed request target")
    rest = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
    return rest, with_host(absolute[1], fields)


def with_host(authority: bytes, fields: Fields) -> Fields:
    """Put an authority in the place of Host."""
    return [(b"host", authority), *(field for field in fields if field[0] != b"host")]
