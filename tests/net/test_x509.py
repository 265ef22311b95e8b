"""The fields of a certificate, read from its bytes."""

from __future__ import annotations

import datetime
import ssl
from contextlib import suppress
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from wsframe.net.x509 import EXPLICIT_3, facts_of, names_in

AUTHORITY = trustme.CA()


def pem_of(*names: str, **options: Any) -> str:
    return AUTHORITY.issue_cert(*names, **options).cert_chain_pems[0].bytes().decode()


def test_names_and_addresses_are_those_of_the_subject() -> None:
    assert facts_of(pem_of("A.example", "*.b.example", "bücher.example", "127.0.0.1", "::1")).names == (
        "a.example", "*.b.example", "xn--bcher-kva.example", "127.0.0.1", "::1",
    )  # fmt: skip


def test_a_certificate_without_names_has_none() -> None:
    assert facts_of(pem_of("ann@a.example")).names == ()


def test_the_first_certificate_of_a_file_counts() -> None:
    text = f"a comment\n{pem_of('a.example')}\n{pem_of('b.example')}"
    assert facts_of(text).names == ("a.example",)


@pytest.mark.parametrize("year", [1950, 1999, 2000, 2049, 2050, 9999])
def test_times_are_of_the_right_century(year: int) -> None:
    """Two digits of the year stand for 1950 to 2049 (RFC 5280 section 4.1.2.5)."""
    moment = datetime.datetime(year, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)
    before = datetime.datetime(1950, 1, 1, tzinfo=datetime.UTC)
    facts = facts_of(pem_of("a.example", not_before=before, not_after=moment))
    assert (facts.not_before, facts.not_after) == (before, moment)


def test_as_openssl_reads_it() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    AUTHORITY.configure_trust(context)
    (theirs,) = context.get_ca_certs()
    facts = facts_of(AUTHORITY.cert_pem.bytes().decode())
    assert facts.not_after.timestamp() == ssl.cert_time_to_seconds(str(theirs["notAfter"]))


@pytest.mark.parametrize("text", ["", "rubbish", "-----BEGIN CERTIFICATE-----", pem_of("a.example")[:200]])
def test_a_text_without_a_certificate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no certificate"):
        facts_of(text)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_certificate_raise_a_value_error_alone(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        facts_of(ssl.DER_cert_to_PEM_cert(body))


def test_extensions_without_content_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        list(names_in([(EXPLICIT_3, b"")]))


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_changed_byte_raises_a_value_error_at_most(at: int, byte: int) -> None:
    der = bytearray(ssl.PEM_cert_to_DER_cert(PEM))
    der[at % len(der)] = byte
    with suppress(ValueError):
        facts_of(ssl.DER_cert_to_PEM_cert(bytes(der)))


PEM = pem_of("a.example", "127.0.0.1")
