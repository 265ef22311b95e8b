"""Certificates for one run."""

import ssl
from typing import TypeAlias

import trustme

__all__ = ["Contexts", "make_contexts"]

Contexts: TypeAlias = tuple[ssl.SSLContext, ssl.SSLContext]
"""What a server shows, and what a client trusts."""


def make_contexts(*names: str) -> Contexts:
    """Make the TLS contexts of a server at 127.0.0.1, with more names if need be, and of clients that trust it."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", *names).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client
