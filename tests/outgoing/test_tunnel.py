"""Asking a proxy for a tunnel, against answers in memory."""

from __future__ import annotations

import pytest

from tests.outgoing.memory import Server
from wsframe.outgoing.exceptions import ProxyFailed
from wsframe.outgoing.proxy import Proxy
from wsframe.outgoing.tunnel import MAX_HEAD, open_http_tunnel
from wsframe.outgoing.url import Target

TARGET = Target.parse("ws://server.example:8080/chat")


async def tunnel(answer: bytes, proxy: str = "http://proxy.example") -> Server:
    """Have a proxy answer."""
    server = Server()
    server.feed(answer)
    server.end()
    await open_http_tunnel(server, Proxy.parse(proxy), TARGET)
    return server


async def test_the_request_names_the_server_and_not_its_path() -> None:
    server = await tunnel(b"HTTP/1.1 200 OK\r\n\r\n")
    assert bytes(server.taken).startswith(b"CONNECT server.example:8080 HTTP/1.1\r\n")
    assert b"authorization" not in bytes(server.taken).lower()
    assert b"chat" not in bytes(server.taken)


async def test_credentials_of_the_proxy_are_sent_to_it() -> None:
    server = await tunnel(b"HTTP/1.1 200 OK\r\n\r\n", "http://user:secret@proxy.example")
    assert b"proxy-authorization: basic dxnlcjpzzwnyzxq=" in bytes(server.taken).lower()


@pytest.mark.parametrize(
    ("answer", "status", "temporary", "text"),
    [
        (b"HTTP/1.1 407 Login\r\n\r\n", 407, False, "user:password@"),
        (b"HTTP/1.1 403 No\r\n\r\n", 403, False, "answered 403 to CONNECT"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", 503, True, "answered 503"),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", None, False, "data of its own"),
        (b"SSH-2.0\r\n\r\n", None, False, "is not HTTP"),
        (b"\x05\x00", None, False, "is not HTTP: it begins with"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_HEAD, None, False, "too large|is not HTTP"),
    ],
)
async def test_any_other_answer_fails_and_says_why(
    answer: bytes, status: int | None, temporary: bool, text: str
) -> None:
    with pytest.raises(ProxyFailed, match=text) as failed:
        await tunnel(answer)
    assert (failed.value.status, failed.value.temporary) == (status, temporary)


async def test_a_proxy_that_ends_before_its_answer_is_a_broken_connection() -> None:
    with pytest.raises(ConnectionResetError, match="before it answered"):
        await tunnel(b"HTTP/1.1 2")
