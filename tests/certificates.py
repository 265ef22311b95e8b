"""Certificates for one run."""

import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import trustme

from wsframe import Certificate

__all__ = ["Contexts", "Handshake", "for_threads", "make_contexts", "trusting", "write_certificate"]

Contexts: TypeAlias = tuple[ssl.SSLContext, ssl.SSLContext]
"""The certificate of a server, and the root that a client trusts."""


def make_contexts(*names: str) -> Contexts:
    """Make the TLS contexts of a server at 127.0.0.1, with more names if need be, and of clients that trust it."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", *names).configure_cert(server)
    return server, trusting(authority)


def write_certificate(authority: trustme.CA, folder: Path, stem: str, *names: str) -> Certificate:
    """Write a certificate for these names and its key into a folder, as ``STEM.pem`` and ``STEM.key``."""
    made = authority.issue_cert(*names)
    chain = b"".join(part.bytes() for part in made.cert_chain_pems)
    (folder / f"{stem}.key").write_bytes(made.private_key_pem.bytes())
    (folder / f"{stem}.pem").write_bytes(chain)
    return Certificate(certfile=folder / f"{stem}.pem", keyfile=folder / f"{stem}.key")


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Make the context of a client that trusts an authority alone: to load the system's takes 20 ms."""
    return ssl.create_default_context(cadata=authority.cert_pem.bytes().decode("ascii"))


def for_threads(context: ssl.SSLContext) -> ssl.SSLContext:
    """Fit a context for a client that reads and writes in two threads, as that of ``websockets.sync`` does.

    Python 3.11 does not lock the object of OpenSSL. With TLS 1.3 a server sends tickets after the handshake; while one
    thread reads them, the request that another writes is lost about once in 700 times, and both wait for ever.
    """
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


class Handshake:
    """A handshake in memory.

    Args:
        server: Gives the context for a client that has sent some bytes.
        client: The context of the client.
        name: The name that the client asks for; None for none.
        session: The session that the client would resume.
        change: Changes the client's first bytes.
    """

    def __init__(
        self,
        server: Callable[[bytes], ssl.SSLContext | None],
        client: ssl.SSLContext,
        name: str | None = "localhost",
        session: ssl.SSLSession | None = None,
        change: Callable[[bytes], bytes] = bytes,
    ) -> None:
        up, down, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(down, outgoing, server_hostname=name, session=session)
        with suppress(ssl.SSLWantReadError):
            self.client.do_handshake()
        hello = change(outgoing.read())
        context = server(hello)
        assert context is not None
        self.server = context.wrap_bio(up, down, server_side=True)
        up.write(hello)
        for _ in range(5):
            for side in (self.server, self.client):
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
                up.write(outgoing.read())
        self.server.write(b"x")
        assert self.client.read(1) == b"x"  # and the tickets before it

    @property
    def names(self) -> list[str]:
        """The names in the certificate of the server."""
        found: Any = self.client.getpeercert() or {}
        return [str(name) for _, name in found.get("subjectAltName", ())]
