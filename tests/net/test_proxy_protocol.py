"""The PROXY protocol: headers of both versions, whole and in pieces, and every way in which they can be wrong."""

from __future__ import annotations

import pickle
import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.net.proxy_protocol import (
    MOST_BYTES,
    MalformedProxyHeader,
    ProxiedTLS,
    ProxyHeader,
    ProxyHeaderReader,
    crc32c,
    encode_proxy_v2,
    read_tlvs,
)

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
ADDRESSES = bytes.fromhex("c0000201 cb007105 1388 01bb")  # 192.0.2.1:5000 to 203.0.113.5:443


def v2(block: bytes, *, command: int = 0x21, family: int = 0x11, length: int | None = None) -> bytes:
    size = len(block) if length is None else length
    return SIGNATURE + bytes((command, family)) + size.to_bytes(2, "big") + block


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def read(data: bytes) -> tuple[ProxyHeader, bytes]:
    reader = ProxyHeaderReader()
    header = reader.receive(data)
    assert header is not None
    return header, reader.trailing


TLS = tlv(0x20, bytes((7, 0, 0, 0, 0)) + tlv(0x21, b"TLSv1.3") + tlv(0x22, "Ann Übel".encode()) + tlv(0x23, b"AES"))
UNVERIFIED = tlv(0x20, bytes((7, 0, 0, 0, 1)) + tlv(0x21, b"TLSv1.3") + tlv(0x22, b"root"))
NO_CERTIFICATE = tlv(0x20, bytes((1, 0, 0, 0, 0)) + tlv(0x22, b"root"))
PLAIN = tlv(0x20, bytes(5))

ONE = ("192.0.2.1", 5000)
TWO = ("203.0.113.5", 443)
HEADERS = {
    "v1 TCP4": (b"PROXY TCP4 192.0.2.1 203.0.113.5 5000 443\r\n", ProxyHeader(version=1, client=ONE, server=TWO)),
    "v1 TCP6": (
        b"PROXY TCP6 2001:DB8::1 ::1 0 65535\r\n",
        ProxyHeader(version=1, client=("2001:db8::1", 0), server=("::1", 65535)),
    ),
    "v1 mapped": (
        b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:203.0.113.5 5000 443\r\n",
        ProxyHeader(version=1, client=ONE, server=TWO),
    ),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", ProxyHeader(version=1)),
    "v1 unknown, longest": (b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", ProxyHeader(version=1)),
    "v2 IPv4": (v2(ADDRESSES), ProxyHeader(version=2, client=ONE, server=TWO)),
    "v2 IPv6": (
        v2(bytes(15) + b"\1" + bytes(15) + b"\2" + b"\0\1\0\2", family=0x21),
        ProxyHeader(version=2, client=("::1", 1), server=("::2", 2)),
    ),
    "v2 mapped": (
        v2(bytes(10) + b"\xff\xff\xc0\0\2\1" + bytes(10) + b"\xff\xff\xcb\0\x71\5" + b"\x13\x88\1\xbb", family=0x21),
        ProxyHeader(version=2, client=ONE, server=TWO),
    ),
    "v2 unix": (v2(b"/a".ljust(216, b"\0"), family=0x31), ProxyHeader(version=2, client=("", 0), server=("", 0))),
    "v2 local": (v2(b"", command=0x20, family=0), ProxyHeader(version=2, local=True)),
    "v2 local with addresses": (v2(ADDRESSES, command=0x20), ProxyHeader(version=2, local=True)),
    "v2 unknown": (v2(b"", family=0), ProxyHeader(version=2)),
    "v2 unknown with bytes": (v2(b"anything", family=0), ProxyHeader(version=2)),
    "v2 unknown transport": (v2(ADDRESSES, family=0x10), ProxyHeader(version=2)),
    "v2 values": (
        v2(ADDRESSES + tlv(4, b"\0\0\0") + tlv(1, b"http/1.1") + tlv(0xE5, b"ours") + tlv(5, b"\x00id")),
        ProxyHeader(version=2, client=ONE, server=TWO, tlvs=((1, b"http/1.1"), (0xE5, b"ours"), (5, b"\x00id"))),
    ),
    "v2 TLS": (
        v2(ADDRESSES + TLS),
        ProxyHeader(
            version=2, client=ONE, server=TWO, tlvs=((0x20, TLS[3:]),),
            tls=ProxiedTLS(version="TLSv1.3", cipher="AES", client_name="Ann Übel"),
        ),
    ),
    "v2 longest": (
        v2(ADDRESSES + tlv(0xE0, bytes(MOST_BYTES - 16 - 12 - 3))),
        ProxyHeader(version=2, client=ONE, server=TWO, tlvs=((0xE0, bytes(MOST_BYTES - 31)),)),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "wanted"), HEADERS.values(), ids=HEADERS)
def test_a_header_is_read_whole_and_byte_by_byte(data: bytes, wanted: ProxyHeader) -> None:
    assert read(data + b"\x16\x03\x01 more") == (wanted, b"\x16\x03\x01 more")
    reader = ProxyHeaderReader()
    feed(reader, data[:-1])
    assert reader.receive(data[-1:]) == wanted
    assert reader.trailing == b""
    assert pickle.loads(pickle.dumps(wanted)) == wanted


def test_only_the_first_header_is_one() -> None:
    """A second one is the client's own, and not HTTP."""
    first = b"PROXY TCP4 192.0.2.1 203.0.113.5 5000 443\r\n"
    second = b"PROXY TCP4 198.51.100.9 203.0.113.5 1 443\r\n"
    assert read(first + second)[1] == second


V1 = "PROXY TCP4 192.0.2.1 203.0.113.5 5000 443"
MALFORMED = {
    "HTTP": (b"GET / HTTP/1.1\r\n", "it begins with b'GET / HTTP/1.1\\r\\n': does the proxy send one at all?"),
    "TLS": (b"\x16\x03\x01", "it begins with b'\\x16\\x03\\x01'"),
    "lower case": (b"proxy ", "it begins with"),
    "a word": (b"PROXYING", "it begins with"),
    "half a signature": (SIGNATURE[:11] + b"x", "it begins with"),
    "v1 too long": (b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", "no end of line in its first 107 bytes"),
    "v1 without end": (b"PROXY " + b"x" * 101, "no end of line in its first 107 bytes"),
    "v1 empty": (b"PROXY \r\n", "is not PROXY, TCP4, TCP6 or UNKNOWN"),
    "v1 lower case": (V1.replace("TCP4", "tcp4").encode() + b"\r\n", "is not PROXY"),
    "v1 too few": (V1[:-4].encode() + b"\r\n", "is not PROXY"),
    "v1 too many": (V1.encode() + b" 1\r\n", "is not PROXY"),
    "v1 two spaces": (V1.replace("5000", " 5000").encode() + b"\r\n", "is not PROXY"),
    "v1 wrong family": (V1.replace("TCP4", "TCP6").encode() + b"\r\n", "wrong address"),
    "v1 no address": (V1.replace("192", "292").encode() + b"\r\n", "wrong address"),
    "v1 octal": (V1.replace("192.0.2.1", "192.0.2.01").encode() + b"\r\n", "wrong address"),
    "v1 port too large": (V1.replace("5000", "65536").encode() + b"\r\n", "wrong port"),
    "v1 port with sign": (V1.replace("5000", "+500").encode() + b"\r\n", "wrong port"),
    "v1 port with zero": (V1.replace("5000", "0500").encode() + b"\r\n", "wrong port"),
    "v1 port in other digits": (V1.encode().replace(b"5000", "\u0665".encode()) + b"\r\n", "wrong port"),
    "v2 version": (v2(ADDRESSES, command=0x31), "version and command are 0x31"),
    "v2 command": (v2(ADDRESSES, command=0x22), "version and command are 0x22"),
    "v2 family": (v2(ADDRESSES, family=0x41), "address family and transport are 0x41"),
    "v2 datagram": (v2(ADDRESSES, family=0x12), "address family and transport are 0x12"),
    "v2 transport": (v2(ADDRESSES, family=0x13), "address family and transport are 0x13"),
    "v2 short": (v2(ADDRESSES[:-1]), "11 bytes are too few for its addresses"),
    "v2 short IPv6": (v2(ADDRESSES, family=0x21), "12 bytes are too few for its addresses"),
    "v2 too long": (v2(b"", length=MOST_BYTES - 15), f"{MOST_BYTES + 1} bytes, of {MOST_BYTES} at most"),
    "v2 longest length": (v2(b"", length=0xFFFF), "65551 bytes"),
    "v2 wrong before it is whole": (v2(b"", command=0x99, length=5000), "version and command are 0x99"),
    "TLV cut in its head": (v2(ADDRESSES + b"\1\0"), "longer than the header"),
    "TLV cut": (v2(ADDRESSES + b"\1\0\5four"), "longer than the header"),
    "TLS value too short": (v2(ADDRESSES + tlv(0x20, b"\1\0\0\0")), "its value about TLS is too short"),
    "TLS value cut": (v2(ADDRESSES + tlv(0x20, bytes(5) + b"\x21\0\5four")), "longer than the header"),
    "name not UTF-8": (v2(ADDRESSES + tlv(0x20, bytes(5) + tlv(0x22, b"\xff"))), "not UTF-8"),
    "authority not UTF-8": (v2(ADDRESSES + tlv(2, b"\xff")), "not UTF-8"),
    "checksum": (v2(ADDRESSES + tlv(3, bytes(4))), "its checksum is wrong"),
    "checksum of another size": (v2(ADDRESSES + tlv(3, b"")), "its checksum is wrong"),
    "several checksums": (v2(ADDRESSES + 1000 * tlv(3, bytes(4))), "it has several checksums"),
}


def feed(reader: ProxyHeaderReader, data: bytes) -> int:
    """Feed bytes one by one, without a header coming of them; return how many."""
    for place in range(len(data)):
        assert reader.receive(data[place : place + 1]) is None
    return len(data)


@pytest.mark.parametrize(("data", "text"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_header_says_why_in_one_short_line(data: bytes, text: str) -> None:
    with pytest.raises(MalformedProxyHeader) as caught:
        ProxyHeaderReader().receive(data)
    assert text in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200
    reader = ProxyHeaderReader()
    before_fault = 0
    with pytest.raises(MalformedProxyHeader):
        before_fault = feed(reader, data)
    assert not before_fault


def test_the_name_of_a_certificate_counts_only_if_the_proxy_verified_it() -> None:
    for value, name in [(TLS, "Ann Übel"), (UNVERIFIED, ""), (NO_CERTIFICATE, "")]:
        header, _ = read(v2(ADDRESSES + value))
        assert header.tls is not None
        assert header.tls.client_name == name
    assert read(v2(ADDRESSES + PLAIN))[0].tls is None


def test_values_are_there_by_name() -> None:
    header, _ = read(v2(ADDRESSES + tlv(1, b"http/1.1") + tlv(2, b"chat.example") + tlv(5, b"\0id") + tlv(5, b"2")))
    assert (header.alpn, header.authority, header.unique_id) == ("http/1.1", "chat.example", b"\0id")
    assert (header.value(5), header.value(0xE0)) == (b"\0id", None)
    bare, _ = read(v2(ADDRESSES))
    assert (bare.alpn, bare.authority, bare.unique_id) == ("", "", b"")
    assert "id" not in repr(header), "values may be secret"


def test_values_without_bytes_are_read_without_copies_of_all_that_follow() -> None:
    class Block(bytes):
        copied = 0

        def __getitem__(self, place: Any) -> Any:
            found = super().__getitem__(place)
            Block.copied += len(found) if isinstance(found, bytes) else 1
            return found

    block = Block(tlv(0xE0, b"") * 2000)
    assert list(read_tlvs(block)) == [(0xE0, b"")] * 2000
    assert Block.copied <= 2 * len(block)


def test_the_checksum_is_that_of_castagnoli() -> None:
    """The check value of RFC 3720's appendix B.4, and of every catalogue."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


addresses = st.one_of(
    st.tuples(st.ip_addresses().map(str), st.integers(0, 65535)),
    st.just(("", 0)),
)
values = st.lists(st.tuples(st.integers(0xE0, 0xEF), st.binary(max_size=300)), max_size=5)


@given(client=addresses, server=addresses, tlvs=values, checksum=st.booleans(), rest=st.binary(max_size=5))
def test_every_header_that_is_made_is_read_again(
    client: tuple[str, int], server: tuple[str, int], tlvs: list[tuple[int, bytes]], checksum: bool, rest: bytes
) -> None:
    known = server if server[0] else None
    header, trailing = read(encode_proxy_v2(client, known, tlvs=tlvs, with_checksum=checksum) + rest)
    assert trailing == rest
    assert header.client is not None
    assert [(kind, value) for kind, value in header.tlvs if kind != 3] == tlvs
    assert (header.value(3) is not None) is checksum
    if "." not in client[0] and "." not in server[0] and known:
        assert header.client == client
    if client[0]:
        assert header.client[1] == client[1]
        assert header.server is not None
        assert header.server[1] == (known or ("", 0))[1]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_header_or_malformed(data: bytes) -> None:
    for stream in (data, SIGNATURE + data, b"PROXY " + data):
        reader = ProxyHeaderReader()
        with suppress(MalformedProxyHeader):
            header = reader.receive(stream)
            assert header is None or stream.endswith(reader.trailing)


def test_a_header_for_a_connection_of_our_own_is_local() -> None:
    assert read(encode_proxy_v2(None))[0] == ProxyHeader(version=2, local=True)


def test_it_can_carry_mixed_addresses_and_leave_the_server_out() -> None:
    header, _ = read(encode_proxy_v2(ONE, ("2001:db8::1", 1)))
    assert (header.client, header.server) == (ONE, ("2001:db8::1", 1))
    assert read(encode_proxy_v2(ONE))[0].server == ("0.0.0.0", 0)
    assert read(encode_proxy_v2(("::1", 7)))[0].server == ("::", 0)


def test_a_header_that_cannot_be_made_is_an_error() -> None:
    for client, tlvs in [
        (("chat.example", 1), []),
        (("192.0.2.1", 65536), []),
        (("192.0.2.1", -1), []),
        (ONE, [(0xE0, bytes(MOST_BYTES))]),
        (ONE, [(0xE0, bytes(0x10000))]),
    ]:
        with pytest.raises(ValueError, match=r"most|port|address"):
            encode_proxy_v2(client, tlvs=tlvs)
