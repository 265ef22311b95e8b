"""Absolute request targets: the host they name counts, and Host does not (RFC 9112 section 3.2.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.http.heads import head_of, judge, read
from wsframe.hixie76 import handshake as hixie_handshake
from wsframe.http.origins import host_allowed, same_origin
from wsframe.http.request import Request
from wsframe.http.responses import Reject

WHOLE, IN_PIECES = None, 7  # a plain head that comes whole is not read by h11


def asking(
    target: str, host: str = "listed.example", size: int | None = WHOLE, more: list[str] | None = None
) -> Request:
    return read(head_of({"Host": host}, more=more, line=f"GET {target} HTTP/1.1"), size=size)[0]


@pytest.mark.parametrize("size", [WHOLE, IN_PIECES])
@pytest.mark.parametrize(
    ("target", "path", "query", "host"),
    [
        ("ws://a.example/chat?a=1", "/chat", "a=1", "a.example"),
        ("http://a.example:80/chat", "/chat", None, "a.example:80"),
        ("https://a.example/chat", "/chat", None, "a.example"),
        ("WSS://A.example", "/", None, "A.example"),
        ("ws://[::1]:8000/chat", "/chat", None, "[::1]:8000"),
        ("ws://a.example?a=1", "/", "a=1", "a.example"),
        ("ws://a.example?a=/b", "/", "a=/b", "a.example"),
        ("ws://a.example/a?b=/c", "/a", "b=/c", "a.example"),
        ("ws://a.example//b", "//b", None, "a.example"),
        ("/chat?u=http://a.example/", "/chat", "u=http://a.example/", "listed.example"),
        ("//a.example/chat", "//a.example/chat", None, "listed.example"),
    ],
)
def test_the_target_tells_path_query_and_host(
    target: str, path: str, query: str | None, host: str, size: int | None
) -> None:
    request = asking(target, size=size)
    assert (request.path, request.query_string, request.headers.getall("Host")) == (path, query, [host])


@pytest.mark.parametrize("size", [WHOLE, IN_PIECES])
@pytest.mark.parametrize(
    "target",
    [
        "ftp://a.example/chat", "wsx://a.example/chat", "x-ws://a.example/chat", "mailto:a@a.example", "ws:/chat",
        "ws:a.example/chat", "ws://", "ws:///chat", "ws://?a", "ws://:80/chat", "ws://a.example:x/", "ws://a.example:99999/",
        "ws://user@a.example/chat", "ws://a.example@evil.example/", "ws://[::1/chat", "ws://[x]/chat", "ws://a.example#b",
        "chat", "*", "a.example:80", "?a=1", "#",
    ],
)  # fmt: skip
def test_a_target_that_is_no_path_and_no_url_of_ours_is_400(target: str, size: int | None) -> None:
    with pytest.raises(Reject) as info:
        asking(target, size=size)
    assert (info.value.status, info.value.body) == (400, "malformed request target")


@pytest.mark.parametrize("line", ["CONNECT a.example:80 HTTP/1.1", "OPTIONS * HTTP/1.1"])
def test_what_other_methods_ask_for_is_no_path(line: str) -> None:
    """They are answered 405, or as ``http_handler`` wants (RFC 9112 sections 3.2.3 and 3.2.4)."""
    assert read(head_of(line=line))[0].path == line.split()[1]


@pytest.mark.parametrize("size", [WHOLE, IN_PIECES])
def test_a_page_of_the_host_field_is_of_another_origin_than_the_target(size: int | None) -> None:
    target = "ws://own.example/chat"
    assert not same_origin(asking(target, "evil.example", size, ["Origin: http://evil.example"]))
    assert same_origin(asking(target, "evil.example", size, ["Origin: http://own.example"]))


@pytest.mark.parametrize("size", [WHOLE, IN_PIECES])
def test_the_targets_name_is_the_one_that_must_be_answered_here(size: int | None) -> None:
    assert not host_allowed(asking("ws://evil.example/chat", "own.example", size).headers["host"], ["own.example"])
    assert host_allowed(asking("ws://own.example/chat", "evil.example", size).headers["host"], ["own.example"])


def test_an_absolute_target_needs_no_host_and_minds_none_that_is_not_ascii() -> None:
    assert judge(head_of({"Host": "h\xf6st"}, line="GET ws://a.example/chat HTTP/1.1")).path == "/chat"
    request, _ = read(b"GET http://a.example/x HTTP/1.0\r\n\r\n")
    assert request.headers["host"] == "a.example"


def test_hixie_76_is_told_the_location_it_asked_for() -> None:
    keys = ["Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5", "Sec-WebSocket-Key2: 12998 5 Y3 1  .P00"]
    request = asking("ws://own.example/chat?x", more=["Origin: http://own.example", *keys])
    answer = hixie_handshake.switching_protocols(request, request.headers, b"^n:ds[4U", None, ())
    assert b"\r\nSec-WebSocket-Location: ws://own.example/chat?x\r\n" in answer


@given(st.text("/?:#@[]a.1%", max_size=12), st.sampled_from(["ws://", "http://a", "//", "", "/"]))
def test_both_ways_of_reading_agree(rest: str, start: str) -> None:
    """Of the same bytes, whole and in pieces."""

    def outcome(size: int | None) -> object:
        try:
            request = asking(start + rest, size=size)
        except Reject as reject:
            return reject.status, reject.body
        return request.path, request.query_string, request.headers.fields()

    if start + rest:  # without a target it is no request line
        assert outcome(WHOLE) == outcome(IN_PIECES)


@given(st.text("/?:#ab%", max_size=12))
def test_a_path_is_never_rewritten(rest: str) -> None:
    request = asking(f"/{rest}")
    query = "" if request.query_string is None else f"?{request.query_string}"
    assert (request.path + query, request.headers["host"]) == (f"/{rest}", "listed.example")
