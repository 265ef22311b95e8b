"""The request as the hooks see it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.http.request import Headers, Request, has_token, peer_name

COOKIES = [(b"Cookie", b"secret=1"), (b"cookie", b"more=2")]
FIELDS = [(b"host", b"example.com"), *COOKIES, (b"authorization", b"Basic c2M=")]


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/chat", "/chat", None),
        ("/chat?", "/chat", ""),
        ("/chat?a=1", "/chat", "a=1"),
        ("/chat?a=1?b=2", "/chat", "a=1?b=2"),
        ("/?/x", "/", "/x"),
        ("/a%20b%2Fc", "/a%20b%2Fc", None),
        ("//evil.com/x", "//evil.com/x", None),
        ("/to?u=ws://host/path", "/to", "u=ws://host/path"),
        ("*", "*", None),
        ("example.com:80", "example.com:80", None),
        ("chat?u=http://x/y", "chat", "u=http://x/y"),
        ("", "", None),
    ],
)
def test_the_target_is_split_into_path_and_query(target: str, path: str, query: str | None) -> None:
    """At the first ``?``."""
    request = Request(target, FIELDS)
    assert (request.path, request.query_string) == (path, query)


def test_the_query_is_parsed_with_blank_and_repeated_values() -> None:
    request = Request("/x?a=1&b=&a=%C3%A9+2&c", [])
    assert request.query == {"a": ["1", "é 2"], "b": [""], "c": [""]}
    assert Request("/x", []).query == Request("/x?", []).query == {}


def test_headers_are_a_case_insensitive_multi_dict() -> None:
    headers = Request("/", FIELDS).headers
    assert headers["COOKIE"] == headers["cookie"] == "secret=1"
    assert headers.getall("Cookie") == ["secret=1", "more=2"]
    assert headers.getall("absent") == []
    assert "HOST" in headers
    assert "absent" not in headers
    assert headers.get("absent") is None
    assert list(headers) == ["host", "cookie", "authorization"]
    assert len(headers) == 3
    assert headers.fields()[1:3] == [("cookie", "secret=1"), ("cookie", "more=2")]
    with pytest.raises(KeyError, match="Absent"):
        headers["Absent"]


def test_the_fields_given_out_are_a_copy() -> None:
    headers = Headers([("a", "1")])
    headers.fields().clear()
    assert headers["a"] == "1"


def test_values_are_latin_1_as_they_came() -> None:
    request = Request("/", [(b"x", bytes(range(0x20, 0x100))), (b"y", b""), (b"z", b"a, b")])
    assert request.headers["x"] == bytes(range(0x20, 0x100)).decode("latin-1")
    assert (request.headers["y"], request.headers["z"]) == ("", "a, b")


names = st.text("abcXYZ-", min_size=1, max_size=4).map(str.encode)
values = st.binary(max_size=8).map(lambda value: value.translate(None, b"\r\n"))


@given(st.lists(st.tuples(names, values), max_size=6))
def test_every_field_is_kept_in_order(fields: list[tuple[bytes, bytes]]) -> None:
    expected = [(name.decode().lower(), value.decode("latin-1")) for name, value in fields]
    assert Request("/", fields).headers.fields() == expected


def test_tokens_are_split_at_commas_over_all_fields() -> None:
    headers = Headers([("connection", "keep-alive, Upgrade"), ("x", "y"), ("connection", " ,close,")])
    assert headers.tokens("Connection") == ["keep-alive", "Upgrade", "close"]
    assert headers.tokens("absent") == []


def test_origin_and_subprotocols_come_from_the_headers() -> None:
    fields = [(b"origin", b"https://a"), (b"sec-websocket-protocol", b"a,b"), (b"Sec-WebSocket-Protocol", b"c")]
    assert Request("/", fields).origin == "https://a"
    assert Request("/", fields).subprotocols == ["a", "b", "c"]
    assert Request("/", []).origin is None
    assert Request("/", []).subprotocols == []


def test_a_request_without_fields_has_none() -> None:
    assert len(Request("/", []).headers) == 0
    assert Request("/", []).headers.fields() == []


def test_what_was_not_given_has_its_plain_value() -> None:
    request = Request("/", [])
    assert (request.method, request.host, request.port, request.secure) == ("GET", "", 0, False)
    assert dict(request.path_params) == {}


def test_no_repr_shows_a_credential() -> None:
    """They end in logs."""
    request = Request("/chat?token=1", FIELDS, host="192.0.2.1", port=5000)
    assert repr(request) == "<Request GET '/chat' from 192.0.2.1:5000>"
    assert repr(request.headers) == "<Headers host, cookie, authorization>"
    for text in (repr(request), str(request), repr(request.headers), f"{request.headers}"):
        assert "secret" not in text
        assert "Basic" not in text
        assert "token" not in text


def test_a_path_cannot_forge_a_log_line() -> None:
    assert "\n" not in repr(Request("/a\nforged", []))


@pytest.mark.parametrize(
    ("host", "port", "name"),
    [("192.0.2.1", 80, "192.0.2.1:80"), ("::1", 80, "[::1]:80"), ("", 0, "unix peer")],
)
def test_a_peer_is_named_as_in_a_url(host: str, port: int, name: str) -> None:
    assert peer_name(host, port) == name


@pytest.mark.parametrize(
    ("field", "session"),
    [
        ("session=known", "known"),
        ('prefs={"a":1}; session=known', "known"),
        ('session=known; prefs={"a":1,"b":[2,3]}', "known"),
        ("a[b]=1; session=known", "known"),
        ("session=known; bad{=1", "known"),
        ("a@b=1; c,d=2; e/f=3; session=known", "known"),
        ("lonely; session=known", "known"),
        ("=nameless; session=known", "known"),
        ("; ;; session=known;", "known"),
        ("session=known;other=1", "known"),
        ("other=1 ;\t session = known ", "known"),
        ("session=a=b==", "a=b=="),
        ("session=", ""),
        ('session="quoted"', "quoted"),
        ('session="', '"'),
        ('session="a', '"a'),
        ("session=first; session=second", "first"),
        ("session=%7Bx%7D", "%7Bx%7D"),
        ("$Version=1; session=known; $Path=/", "known"),
        ("Session=other; session=known", "known"),
        ("grün=\xff; session=known", "known"),
    ],
)
def test_a_cookie_survives_those_of_others(field: str, session: str) -> None:
    request = Request("/", [(b"Cookie", field.encode("latin-1"))])
    assert request.cookies["session"] == session


def test_cookies_of_several_fields_are_one_mapping() -> None:
    """HTTP/2 splits them, and a proxy may pass them on so."""
    request = Request("/", [(b"cookie", b"a=1"), (b"Cookie", b"b=2; a=3")])
    assert request.cookies == {"a": "1", "b": "2"}
    assert Request("/", []).cookies == {}


def test_only_space_and_tab_are_space_around_a_cookie() -> None:
    fields = [(b"cookie", "session\xa0=a; \x0bother=b; third=c\x85".encode("latin-1"))]
    assert Request("/", fields).cookies == {"session\xa0": "a", "\x0bother": "b", "third": "c\x85"}


def test_a_cookie_is_utf_8_where_it_can_be() -> None:
    fields = [(b"cookie", "name=Jürgen; other=".encode() + b"\xff")]
    assert Request("/", fields).cookies == {"name": "Jürgen", "other": "\xff"}


@given(st.text(st.characters(max_codepoint=0xFF)))
def test_no_cookie_raises(text: str) -> None:
    request = Request("/", [(b"cookie", b"session=known;" + text.encode("latin-1"))])
    assert request.cookies["session"] == "known"


@pytest.mark.parametrize(
    ("values", "has"),
    [
        ([], False),
        (["upgrade"], True),
        (["UpGrade"], True),
        (["keep-alive, Upgrade"], True),
        (["keep-alive", ",upgrade ,"], True),
        (["upgrades"], False),
        (["up grade"], False),
        (["upgrade/1"], False),
        (["\xa0upgrade"], False),
    ],
)
def test_a_token_is_found_in_each_field_and_case(values: list[str], has: bool) -> None:
    assert has_token(Headers([("connection", value) for value in values]), "connection", "upgrade") is has


def test_get_returns_the_first_value_in_any_case_or_the_default() -> None:
    headers = Headers([("a", "1"), ("a", "2"), ("b", "")])
    assert [headers.get("A"), headers.get("b", "x"), headers.get("c"), headers.get("c", 3)] == ["1", "", None, 3]
    assert headers.get("c", default="none") == "none"
