"""Why TLS with a server failed, in words that say what to change."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from wsframe.http.client_handshake import HandshakeFailed
from wsframe.http.first_bytes import spoken
from wsframe.net.transport import Transport

__all__ = ["check_alpn", "explained"]

NO_CERTIFICATE = "the server asks for a certificate of ours: give certificate="


@contextmanager
def explained(transport: Transport) -> Iterator[None]:
    """Raise an error of TLS again with its cause in words; its class stays.

    Raises:
        ssl.SSLError: If the body does.
    """
    try:
        yield
    except ssl.SSLError as error:
        cause = cause_of(error, transport.first)
        if not cause:
            raise
        told = type(error)(error.errno, f"{cause} ({error.strerror})")
        told.reason, told.library = error.reason, error.library
        raise told from None


def cause_of(error: ssl.SSLError, first: bytes | None) -> str:
    """Return the cause of an error; ``""`` where OpenSSL's words say it.

    Args:
        error: The error.
        first: The first bytes of the server during the TLS handshake; None after it.
    """
    if first is None:
        return NO_CERTIFICATE if "CERTIFICATE_REQUIRED" in (error.reason or "") else ""
    if spoken(first) in ("HTTP", "HTTP/2"):
        return "the server answers without TLS at this port: is the URL ws:// instead of wss://?"
    if first and spoken(first) != "TLS":
        return "the server speaks another protocol than TLS at this port"
    if not first and isinstance(error, ssl.SSLEOFError):
        return "the server ended the connection during the TLS handshake: does it speak TLS at this port?"
    return ""


def check_alpn(transport: Transport) -> None:
    """Check that HTTP/1.1 was agreed on, or no protocol.

    Raises:
        HandshakeFailed: For another one.
    """
    agreed = None if transport.tls is None else transport.tls.alpn
    if agreed not in (None, "http/1.1"):
        raise HandshakeFailed(
            f"the server and ssl_context agreed on {agreed} by ALPN, and a WebSocket needs HTTP/1.1: "
            "call ssl_context.set_alpn_protocols(['http/1.1'])"
        )
