"""The answer of ``accept_client`` that lets a client in."""

from __future__ import annotations

from wsframe import Accept


def test_accept_lets_in_with_nothing_more() -> None:
    accept = Accept()
    assert (accept.subprotocol, accept.headers, accept.data) == (None, [], None)


def test_accept_carries_what_the_101_and_the_client_get() -> None:
    accept = Accept("chat", {"Set-Cookie": "a=b"}, data=7)
    assert (accept.subprotocol, accept.headers, accept.data) == ("chat", [("Set-Cookie", "a=b")], 7)
