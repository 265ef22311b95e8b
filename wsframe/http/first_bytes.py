"""Which protocol the first bytes of a connection are of, where they are not of the one expected."""

from __future__ import annotations

from re import DOTALL
from re import compile as pattern
from typing import Literal

__all__ = ["LONGEST", "Spoken", "spoken"]

Spoken = Literal["TLS", "HTTP/2", "HTTP", "PROXY", ""]

LONGEST = 32
"""So many bytes are enough."""

# A handshake or an alert, of any version.
TLS = pattern(rb"[\x15\x16]\x03")
# The client's preface; the server's frame SETTINGS, with any length, on stream 0 (RFC 9113 section 3.4).
HTTP_2 = pattern(rb"PRI \* HTTP/2|\x00[\x00-\x0f].\x04[\x00\x01]\x00{4}", DOTALL)
HTTP = pattern(rb"HTTP/|[A-Z]{3,20} [/*!-~]")
PROXY = pattern(rb"PROXY |\r\n\r\n\x00\r\nQUIT\n")


def spoken(first: bytes | bytearray) -> Spoken:
    """Return the protocol that these bytes are of; ``""`` for another one, or for too few bytes."""
    if TLS.match(first):
        return "TLS"
    if HTTP_2.match(first):
        return "HTTP/2"
    if PROXY.match(first):
        return "PROXY"
    return "HTTP" if HTTP.match(first) else ""
