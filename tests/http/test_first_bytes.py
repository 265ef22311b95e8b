"""A protocol is named by its first bytes, and nothing else is taken for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.http.first_bytes import LONGEST, spoken

FIRST = {
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": "TLS",
    b"\x16\x03\x03\x00\x7a\x02": "TLS",
    b"\x15\x03\x03\x00\x02\x02\x28": "TLS",
    b"\x16\x03": "TLS",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": "HTTP/2",
    b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03": "HTTP/2",
    b"\x00\x00\n\x04\x00\x00\x00\x00\x00": "HTTP/2",
    b"GET / HTTP/1.1\r\n": "HTTP",
    b"OPTIONS * HTTP/1.1\r\n": "HTTP",
    b"CONNECT a.example:443 HTTP/1.1\r\n": "HTTP",
    b"PROPFIND /x HTTP/1.1\r\n": "HTTP",
    b"HTTP/1.1 400 Bad Request\r\n": "HTTP",
    b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n": "PROXY",
    b"\r\n\r\n\x00\r\nQUIT\n!\x11": "PROXY",
    b"": "",
    b"\x16": "",
    b"\x17\x03\x03": "",
    b"SSH-2.0-OpenSSH_9.2\r\n": "",
    b"hello": "",
    b"get / HTTP/1.1": "",
    b"\x00" * 30: "",
    b"\x88\x02\x03\xe8": "",
}


@pytest.mark.parametrize(("first", "protocol"), FIRST.items())
def test_the_first_bytes_name_the_protocol(first: bytes, protocol: str) -> None:
    assert spoken(first) == protocol
    assert spoken(first[:LONGEST]) == protocol, "and no more of them are needed"


@given(st.binary(max_size=40))
def test_any_bytes_are_named_or_not(first: bytes) -> None:
    assert spoken(first) in ("TLS", "HTTP/2", "HTTP", "PROXY", "")
