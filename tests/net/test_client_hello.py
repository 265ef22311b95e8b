"""The name in a ClientHello: of whole ones, of those in pieces, and of bytes that are none."""

from __future__ import annotations

import ssl
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.net.client_hello import asked_name


def hello_for(name: str | None, offered: int = 1) -> bytes:
    """Return the first bytes of OpenSSL's client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.set_alpn_protocols(["x" * 200] * offered)  # which makes it longer
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def in_records(hello: bytes, size: int) -> bytes:
    """Divide a ClientHello among records."""
    body = hello[5:]
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(hello[:3] + len(part).to_bytes(2, "big") + part for part in parts)


@pytest.mark.parametrize(
    ("name", "read"), [("a.example", "a.example"), ("A.Example", "a.example"), ("a.example.", "a.example"), (None, "")]
)
def test_the_name_is_read(name: str | None, read: str) -> None:
    assert asked_name(hello_for(name)) == read


@pytest.mark.parametrize("size", [300, 1000, 16000])
def test_the_name_is_read_from_several_records(size: int) -> None:
    assert asked_name(in_records(hello_for("a.example", 10), size)) == "a.example"


def test_every_part_of_a_client_hello_needs_more() -> None:
    hello = hello_for("a.example")
    assert {asked_name(hello[:end]) for end in range(len(hello))} == {None}
    assert asked_name(hello + b"more") == "a.example"


@pytest.mark.parametrize(
    "received",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 ",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x16\x03\x01\x00\x04\x02\0\0\0",
        b"\x16\x03\x01\x00\x04\x01\0\0\0",
        b"\x80\x2e\x01\x00\x02",
        b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + bytes(1 << 18),
    ],
)
def test_what_is_no_client_hello_has_no_name_and_waits_for_nothing(received: bytes) -> None:
    assert asked_name(received) == ""


def test_a_client_hello_without_an_end_is_not_waited_for() -> None:
    record = b"\x16\x03\x01\x20\x00" + bytes(0x2000)
    endless = record[:5] + b"\x01\xff\xff\xff" + record[9:]
    assert asked_name(endless) is None
    assert asked_name(endless + record) == ""


@pytest.mark.parametrize("size", [0, 1, 20])
def test_many_small_records_are_not_read_again_and_again(size: int) -> None:
    """Each piece that comes would cost the time of all before it."""
    record = b"\x16\x03\x01" + size.to_bytes(2, "big") + b"\x01" * size
    assert asked_name(record * 16) is None
    assert asked_name(record * 17) == ""


@given(st.binary(max_size=300))
def test_no_bytes_raise(body: bytes) -> None:
    hello = b"\x01" + len(body).to_bytes(3, "big") + body
    assert isinstance(asked_name(b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello), str)
    asked_name(body)


@given(st.integers(0, 600), st.integers(0, 255))
def test_a_changed_byte_raises_nothing(at: int, byte: int) -> None:
    hello = bytearray(hello_for("a.example"))
    hello[at % len(hello)] = byte
    asked_name(bytes(hello))
