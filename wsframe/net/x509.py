"""The facts that a server needs of its certificate: the names it is for, and until when. Source: RFC 5280.

Python's ``ssl`` decodes the certificates of peers only. OpenSSL has checked the bytes read here before,
when it loaded the file; bytes that are not a certificate raise a ValueError all the same.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

__all__ = ["CertificateFacts", "facts_of"]

BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"

UTC_TIME, EXPLICIT_3 = 0x17, 0xA3
DNS_NAME, IP_ADDRESS = 0x82, 0x87  # of GeneralName
SUBJECT_ALT_NAME = bytes((0x55, 0x1D, 0x11))  # 2.5.29.17


class CertificateFacts(NamedTuple):
    """The names of a certificate in lower case, and the times between which it is valid."""

    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    chain_until: datetime | None = None
    """The time until which all authorities are valid whose certificates come after it; None without any."""


def facts_of(pem: str) -> CertificateFacts:
    """Read the first certificate of a file in PEM, and how long those after it are valid.

    Raises:
        ValueError: If there is none.
    """
    own, *others = certificates_in(pem) or [""]
    if not own:
        raise ValueError("there is no certificate in PEM")
    ends = []
    for one in others:
        with suppress(ValueError):  # of an authority nothing else counts here
            ends.append(read(one).not_after)
    return read(own)._replace(chain_until=min(ends, default=None))


def certificates_in(pem: str) -> list[str]:
    """Return the certificates of a file."""
    return [f"{BEGIN}{part.partition(END)[0]}{END}\n" for part in pem.split(BEGIN)[1:] if END in part]


def read(pem: str) -> CertificateFacts:
    der = ssl.PEM_cert_to_DER_cert(pem)
    try:
        ((_, certificate),) = elements(der)
        signed = first(certificate)
        fields = list(elements(signed))
        # version, if it is there; serial number, algorithm, issuer, validity
        not_before, not_after = elements(fields[4 if fields[0][0] == 0xA0 else 3][1])
        names = tuple(names_in(fields))
        return CertificateFacts(names, time_of(*not_before), time_of(*not_after))
    except IndexError as error:
        raise ValueError("the certificate is malformed") from error


def elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[at : at + size], "big")
            at += size
        if at + length > len(der):
            raise ValueError("an element is longer than the certificate")
        yield tag, der[at : at + length]
        at += length


def first(der: bytes) -> bytes:
    """Return the content of the first element."""
    for _, content in elements(der):
        return content
    raise ValueError("an element is empty where another one has to be in it")


def names_in(fields: list[tuple[int, bytes]]) -> Iterator[str]:
    """Yield the DNS names and IP addresses of the extension subjectAltName."""
    for tag, content in fields:
        if tag != EXPLICIT_3:
            continue
        for _, extension in elements(first(content)):
            parts = list(elements(extension))
            if parts[0][1] == SUBJECT_ALT_NAME:
                for kind, name in elements(first(parts[-1][1])):
                    if kind == DNS_NAME:
                        yield name.decode("ascii", "replace").lower()
                    elif kind == IP_ADDRESS:
                        yield str(ipaddress.ip_address(name))


def time_of(tag: int, content: bytes) -> datetime:
    """Read a time: two digits of the year stand for 1950 to 2049."""
    text = content.decode("ascii", "replace")
    if tag == UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
