"""The facts about a client arrive as they were told, in a PROXY header that other tools can read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.net.client_facts import FACTS, MOST_FACTS, ClientFacts, encode_facts, facts_of
from wsframe.net.proxy_protocol import MalformedProxyHeader, ProxyHeader, ProxyHeaderReader, encode_proxy_v2

CERTIFICATE = {"subject": ((("commonName", "a"),), (("organizationName", "b"),)), "version": 3, "notAfter": "x"}

hosts = st.one_of(st.ip_addresses().map(str), st.just(""), st.just("fe80::1%eth0"))
everything = st.builds(
    ClientFacts,
    host=hosts,
    port=st.integers(0, 65535),
    secure=st.booleans(),
    anonymous=st.booleans(),
    proxy_header=st.sampled_from([b"", encode_proxy_v2(("192.0.2.1", 5)), b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"]),
    peer_certificate=st.sampled_from([None, CERTIFICATE]),
    peer_certificate_der=st.one_of(st.none(), st.binary(max_size=5000)),
)


def read(data: bytes) -> ProxyHeader:
    header = ProxyHeaderReader(MOST_FACTS).receive(data)
    assert header is not None
    return header


@given(everything)
def test_facts_arrive_as_they_were_told(facts: ClientFacts) -> None:
    told = facts_of(read(encode_facts(facts)))
    assert told.port == (facts.port if facts.host else 0)
    assert (told.host, told.secure, told.anonymous) == (facts.host, facts.secure, facts.anonymous)
    assert told.peer_certificate == facts.peer_certificate
    assert told.peer_certificate_der == facts.peer_certificate_der
    assert told.proxy == facts.proxy


def test_the_address_is_where_other_tools_look_for_it() -> None:
    assert read(encode_facts(ClientFacts(host="192.0.2.7", port=77))).client == ("192.0.2.7", 77)


def test_more_values_come_last() -> None:
    header = read(encode_facts(ClientFacts(peer_certificate_der=b"der"), [(0xEF, b"more")]))
    assert header.tlvs[-1] == (0xEF, b"more")


def test_facts_that_are_too_large_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 65535 bytes"):
        encode_facts(ClientFacts(peer_certificate_der=bytes(MOST_FACTS)))


def told(**fields: object) -> bytes:
    written = {"host": "", "secure": True, "anonymous": False, "certificate": None, **fields}
    return json.dumps(written).encode()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 10_000,
        told(host=1),
        told(secure=1),
        told(anonymous=None),
        told(certificate=[]),
        b"\xff",
    ],
    ids=["none", "cut", "list", "deep", "host", "secure", "anonymous", "certificate", "not UTF-8"],
)
def test_other_values_are_refused(value: bytes) -> None:
    with pytest.raises(MalformedProxyHeader):
        facts_of(read(encode_proxy_v2(("192.0.2.7", 77), tlvs=[(FACTS, value)], most=MOST_FACTS)))


def test_a_header_of_another_program_is_refused() -> None:
    with pytest.raises(MalformedProxyHeader):
        facts_of(read(encode_proxy_v2(("192.0.2.7", 77))))
    with pytest.raises(MalformedProxyHeader):
        facts_of(read(encode_proxy_v2(None)))
