"""The facts about a client whose connection another process has accepted, in front of the client's bytes.

They are a PROXY header of version 2 with values of our own (2.2.7 reserves their types): the client's address, its
TLS with its certificate, and the PROXY header with which it came. Without I/O.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from wsframe.net.proxy_protocol import MalformedProxyHeader, ProxyHeader, ProxyHeaderReader, encode_proxy_v2

__all__ = ["MOST_FACTS", "ClientFacts", "encode_facts", "facts_of"]

MOST_FACTS = 65535
"""Bytes of the header at most: a certificate can have thousands of names."""

# The types of our values (2.2.7).
FACTS, PROXY_HEADER, CERTIFICATE = 0xE0, 0xE1, 0xE2


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientFacts:
    """A client, as the process that has accepted it sees it."""

    host: str = ""
    """Its address; empty for a unix socket."""
    port: int = 0
    secure: bool = False
    """Whether it has TLS, to us or to a proxy."""
    anonymous: bool = False
    """Whether it came through a proxy that does not know its address."""
    proxy_header: bytes = b""
    """The PROXY header with which it came."""
    peer_certificate: dict[str, Any] | None = None
    """Its certificate, as :meth:`ssl.SSLSocket.getpeercert` has it."""
    peer_certificate_der: bytes | None = None

    @property
    def proxy(self) -> ProxyHeader | None:
        """The PROXY header with which it came, read.

        Raises:
            MalformedProxyHeader: If it is not one.
        """
        return ProxyHeaderReader().receive(self.proxy_header) if self.proxy_header else None


def encode_facts(facts: ClientFacts, more: Iterable[tuple[int, bytes]] = ()) -> bytes:
    """Make the header.

    Args:
        facts: The client.
        more: Values after the facts, in this order: types and bytes.

    Raises:
        ValueError: If the facts are too large for a header.
    """
    told = {
        "host": facts.host,
        "secure": facts.secure,
        "anonymous": facts.anonymous,
        "certificate": facts.peer_certificate,
    }
    values = [(FACTS, json.dumps(told, separators=(",", ":")).encode())]
    if facts.proxy_header:
        values.append((PROXY_HEADER, facts.proxy_header))
    if facts.peer_certificate_der is not None:
        values.append((CERTIFICATE, facts.peer_certificate_der))
    return encode_proxy_v2((facts.host, facts.port), tlvs=[*values, *more], most=MOST_FACTS)


def facts_of(header: ProxyHeader) -> ClientFacts:
    """Return the facts in a header.

    Raises:
        MalformedProxyHeader: If there are none, or not in this form.
    """
    told: Any = None
    with suppress(ValueError, RecursionError):
        told = json.loads(header.value(FACTS) or b"null")
    if header.client is None or not fits(told):
        raise MalformedProxyHeader("it has no facts about a client")
    return ClientFacts(
        host=told["host"],
        port=header.client[1],
        secure=told["secure"],
        anonymous=told["anonymous"],
        proxy_header=header.value(PROXY_HEADER) or b"",
        peer_certificate=thawed(told["certificate"]),
        peer_certificate_der=header.value(CERTIFICATE),
    )


def fits(told: Any) -> bool:
    """Return whether facts have the fields that they have to have."""
    return (
        isinstance(told, dict)
        and isinstance(told.get("host"), str)
        and isinstance(told.get("secure"), bool)
        and isinstance(told.get("anonymous"), bool)
        and isinstance(told.get("certificate", False), dict | None)
    )


def thawed(certificate: Any) -> Any:
    """Return a certificate with tuples again, which JSON does not have."""
    if isinstance(certificate, dict):
        return {key: thawed(value) for key, value in certificate.items()}
    return tuple(map(thawed, certificate)) if isinstance(certificate, list) else certificate
