"""Certificates for one run."""

import ssl

import trustme

from tests.chaos.world import Contexts

__all__ = ["make_contexts"]


def make_contexts() -> Contexts:
    """Make the TLS contexts of a server and of clients that trust it."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client
