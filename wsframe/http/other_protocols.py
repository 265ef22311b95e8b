"""Other protocols in the place of HTTP/1.1, told by how they begin: then a message can name the cause."""

from __future__ import annotations

from re import compile as pattern

from wsframe.log import quoted

__all__ = ["HTTP_2", "OF_PEERS", "beginning", "cause_at_client", "cause_at_server", "may_be_http"]

# RFC 8446 section 5.1: the kind of a record and its version.
TLS = pattern(rb"[\x14-\x17]\x03[\x00-\x04]")
# HAProxy's proxy-protocol.txt, sections 2.1 and 2.2.
PROXY = pattern(rb"PROXY |\r\n\r\n\x00\r\nQUIT\n")
# RFC 9113 section 3.4: a server begins with a frame of settings, 0x4, on stream 0.
SETTINGS = pattern(rb"\x00..\x04.\x00\x00\x00\x00", 16)  # re.DOTALL

HTTP_2 = "HTTP/1.1 is spoken here, and the peer speaks HTTP/2: a proxy in front must use HTTP/1.1 to this server"

OF_PEERS = (
    (TLS, "the peer speaks TLS, and this port does not: serve with certificates, or connect with ws:// or http://"),
    (PROXY, "a PROXY header stands where the request is expected: see proxy_protocol=, or two proxies send one each"),
)
OF_SERVERS = (
    (TLS, "the server speaks TLS at this port: is its URL wss:// in place of ws://?"),
    (SETTINGS, "the server speaks HTTP/2 at this port, and a WebSocket needs HTTP/1.1"),
)


def cause_at_server(begun: bytes) -> str:
    """Return why a peer does not send HTTP/1.1, by its first bytes; ``""`` for an unknown reason."""
    return next((cause for kind, cause in OF_PEERS if kind.match(begun)), "")


def cause_at_client(begun: bytes) -> str:
    """Return why a server does not answer by HTTP/1.1, by its first bytes; ``""`` for an unknown reason."""
    return next((cause for kind, cause in OF_SERVERS if kind.match(begun)), "")


def may_be_http(begun: bytes) -> bool:
    """Return whether an answer that begins with these bytes can be one of HTTP/1 (RFC 9112 section 4)."""
    return begun[:5] == b"HTTP/"[: len(begun)]


def beginning(begun: bytes) -> str:
    """Say how an answer begins that is not HTTP."""
    return f"it begins with {quoted(begun[:16].decode('latin-1'))}"
