"""Another protocol in the place of HTTP/1.1 is named, and nothing else is taken for one."""

import pytest

from wsframe.http.other_protocols import cause_at_client, cause_at_server
from wsframe.net.proxy_protocol import encode_proxy_v2

HELLO = b"\x16\x03\x01\x00\xc4\x01\x00\x00\xc0\x03\x03"
ALERT = b"\x15\x03\x03\x00\x02\x02\x46"
SETTINGS = b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03"


@pytest.mark.parametrize(
    ("begun", "words"),
    [
        (HELLO, "TLS"),
        (ALERT, "TLS"),
        (b"PROXY TCP4 ", "PROXY header"),
        (b"PROXY UNKNOWN\r\n", "PROXY header"),
        (encode_proxy_v2(("192.0.2.1", 1)), "PROXY header"),
        (encode_proxy_v2(None), "PROXY header"),
    ],
)
def test_a_peer_that_speaks_another_protocol_is_told_from_its_first_bytes(begun: bytes, words: str) -> None:
    assert words in cause_at_server(begun)


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"\x16",
        b"\x16\x04\x01",
        b"GET / HTTP/1.1\r\n",
        b"PROXYING",
        b"\r\n\r\n",
        b"SSH-2.0-x\r\n",
        SETTINGS,
        b"\x00" * 9,
    ],
)
def test_nothing_else_of_a_peer_is_taken_for_one(begun: bytes) -> None:
    assert cause_at_server(begun) == ""


def test_a_server_that_speaks_another_protocol_is_told_from_its_first_bytes() -> None:
    assert "wss://" in cause_at_client(ALERT)
    assert "HTTP/2" in cause_at_client(SETTINGS)
    for begun in (b"", b"HTTP/1.1 400 Bad Request\r\n", b"220 smtp ESMTP\r\n", b"\x00\x00\x12\x05\x00\x00\x00\x00\x00"):
        assert cause_at_client(begun) == ""
