"""The parts of a URL, and where a redirect leads."""

from __future__ import annotations

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.http.client_handshake import HandshakeFailed
from wsframe.outgoing.exceptions import InvalidURL
from wsframe.outgoing.url import Target, basic_authorization, redirected


@pytest.mark.parametrize(
    ("url", "secure", "host", "port", "resource", "authority"),
    [
        ("ws://example.com", False, "example.com", 80, "/", "example.com"),
        ("wss://example.com", True, "example.com", 443, "/", "example.com"),
        ("WSS://Example.COM:443/A", True, "example.com", 443, "/A", "example.com"),
        ("ws://example.com:443/", False, "example.com", 443, "/", "example.com:443"),
        ("ws://[::1]:8000/a?b=c", False, "::1", 8000, "/a?b=c", "[::1]:8000"),
        ("ws://127.0.0.1?x", False, "127.0.0.1", 80, "/?x", "127.0.0.1"),
        ("ws://example.com/a?", False, "example.com", 80, "/a?", "example.com"),
        ("ws://example.com/ä%20b?ö=%2F", False, "example.com", 80, "/%C3%A4%20b?%C3%B6=%2F", "example.com"),
        ("ws://bücher.example/", False, "xn--bcher-kva.example", 80, "/", "xn--bcher-kva.example"),
    ],
)
def test_a_url_names_a_target(url: str, secure: bool, host: str, port: int, resource: str, authority: str) -> None:
    target = Target.parse(url)
    assert (target.secure, target.host, target.port, target.resource) == (secure, host, port, resource)
    assert target.authority == authority
    assert target.credentials is None


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "//example.com/", "http://example.com/", "wss:/a", "ws://", "ws://:80/", "ws:///a",
        "ws://example.com:0/", "ws://example.com:65536/", "ws://example.com:x/", "ws://[::1/", "ws://[x]/",
        "ws://example.com/#", "ws://example.com/#top", "ws://exa mple.com/", "ws://example.com/a b",
        "ws://example.com/\r\nX: y", "w\ts://example.com/", "ws://a:b:c@example.com/\0",
        "ws://a%3Ab:c@example.com/", "ws://ä..example/", "ws://a..example/", "ws://.example/",
        f"ws://{'a' * 64}.example/", f"ws://{'a.' * 128}/",
    ],
)  # fmt: skip
def test_what_names_no_websocket_is_refused(url: str) -> None:
    with pytest.raises(InvalidURL):
        Target.parse(url)


@pytest.mark.parametrize("url", ["127.0.0.1:8000/chat", "localhost", "//example.com/"])
def test_what_lacks_a_scheme_is_told_so(url: str) -> None:
    with pytest.raises(InvalidURL, match="no scheme"):
        Target.parse(url)


@given(st.text(max_size=30))
def test_any_text_is_a_target_or_refused(rest: str) -> None:
    try:
        target = Target.parse(f"ws://{rest}")
    except InvalidURL:
        return
    assert target.resource.isascii()
    assert target.host.isascii()
    assert not {" ", "\r", "\n"} & set(target.resource + target.authority)


def test_credentials_are_kept_apart_and_never_shown() -> None:
    target = Target.parse("wss://us%40er:p%3Aä@example.com/a?token=secret")
    assert target.credentials == ("us@er", "p:ä")
    assert str(target) == "wss://example.com/a"
    value = basic_authorization(("us@er", "p:ä"))
    assert b64decode(value.removeprefix("Basic ")).decode() == "us@er:p:ä"
    assert Target.parse("ws://user@example.com/").credentials == ("user", "")


HERE = Target.parse("wss://user:secret@example.com/a/b?c")


@pytest.mark.parametrize(
    ("location", "leads"),
    [
        ("/x", "wss://example.com/x"),
        ("d?e", "wss://example.com/a/d"),
        ("wss://example.com/x", "wss://example.com/x"),
        ("https://example.com/x#top", "wss://example.com/x"),
        ("HTTPS://example.com:443/x", "wss://example.com/x"),
        ("//other.example/x", "wss://other.example/x"),
        ("wss://other.example:8443/", "wss://other.example:8443/"),
    ],
)
def test_a_redirect_leads_somewhere(location: str, leads: str) -> None:
    assert str(redirected(HERE, location)) == leads


def test_credentials_stay_within_the_origin() -> None:
    assert redirected(HERE, "/x").credentials == ("user", "secret")
    assert redirected(HERE, "wss://example.com:444/x").credentials is None
    assert redirected(HERE, "wss://other.example/x").credentials is None
    assert redirected(HERE, "wss://mine:own@other.example/x").credentials is None
    plain = Target.parse("ws://user:secret@example.com/")
    assert redirected(plain, "wss://example.com/").credentials is None
    assert redirected(plain, "wss://example.com/").secure


@pytest.mark.parametrize("location", ["ws://example.com/x", "http://example.com/x"])
def test_tls_is_never_left(location: str) -> None:
    with pytest.raises(HandshakeFailed, match="wss to ws"):
        redirected(HERE, location)


@pytest.mark.parametrize(
    "location",
    [
        "ftp://example.com/", "wss://", "https://exa mple.com/", "javascript:alert(1)", "https://[::1", "wss://[",
        "https://[1:1]/", "//a..example/", f"//{'a.' * 150}example/",
    ],
)  # fmt: skip
def test_a_redirect_elsewhere_fails(location: str) -> None:
    with pytest.raises(HandshakeFailed, match="not lead to a WebSocket"):
        redirected(HERE, location)


@given(st.text(max_size=30) | st.text("htps:/[]@.#?a1\u00e9", max_size=30))
def test_any_location_leads_somewhere_safe_or_fails(location: str) -> None:
    try:
        target = redirected(HERE, location)
    except HandshakeFailed:
        return
    assert target.secure
    assert target.credentials is None or target.origin == HERE.origin
