"""Connections from browsers: origins and Host names."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.http.origins import (
    LOOPBACK_HOSTS,
    any_origin,
    host_allowed,
    origin_exact,
    origin_prefix,
    same_origin,
    split_host,
)
from wsframe.http.request import Request


def request(origin: str | None = None, host: str | None = "example.com", *, secure: bool = False) -> Request:
    fields = [] if host is None else [(b"host", host.encode("latin-1"))]
    if origin is not None:
        fields.append((b"origin", origin.encode("latin-1")))
    return Request("/", fields, secure=secure)


@pytest.mark.parametrize("origin", [None, "", "null", "http://evil.com", "\xff"])
def test_any_origin_lets_everything_pass(origin: str | None) -> None:
    assert any_origin(request(origin)) is True


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        ("https://a.com", True),
        ("null", True),
        ("https://a.com:443", False),
        ("https://a.com/", False),
        ("https://a.com.evil.com", False),
        ("http://a.com", False),
        ("https://A.com", False),
        ("", False),
        (None, False),
    ],
)
def test_origin_exact_lets_the_very_origins_pass(origin: str | None, passes: bool) -> None:
    assert origin_exact("https://a.com", "null")(request(origin)) is passes


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        ("http://localhost", True),
        ("http://localhost:8080", True),
        ("http://localhost/", True),
        ("http://localhost.evil.com", False),
        ("http://localhostevil.com", False),
        ("http://localhost@evil.com", False),
        ("http://localhost-evil.com", False),
        ("http://localhos", False),
        ("https://localhost", False),
        ("HTTP://localhost", False),
        ("x http://localhost", False),
        ("http://127.0.0.1:1", True),
        ("http://127.0.0.10", False),
        ("null", False),
        ("", False),
        (None, False),
    ],
)
def test_a_prefix_ends_at_the_end_or_at_a_boundary(origin: str | None, passes: bool) -> None:
    """The clws function of this name lets http://localhost.evil.com in."""
    assert origin_prefix("http://localhost", "http://127.0.0.1")(request(origin)) is passes


@pytest.mark.parametrize(
    ("prefix", "origin", "passes"),
    [
        ("http://localhost:", "http://localhost:8080", True),
        ("http://localhost:", "http://localhost", False),
        ("https://", "https://anything.com", True),
        ("https://", "http://anything.com", False),
    ],
)
def test_a_prefix_that_ends_in_a_boundary_brings_its_own(prefix: str, origin: str, passes: bool) -> None:
    assert origin_prefix(prefix)(request(origin)) is passes


@given(st.text("abc.-@_%\\#?[ \x00é", min_size=1, max_size=8))
def test_no_other_name_begins_with_a_safe_prefix(rest: str) -> None:
    assert origin_prefix("http://localhost")(request(f"http://localhost{rest}")) is False


@pytest.mark.parametrize("prefixes", [("",), ("http://a", "")])
def test_an_empty_prefix_is_refused(prefixes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="any_origin"):
        origin_prefix(*prefixes)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("file://", "file://"),
        ("file:///", "file://"),
        ("https://A.com:443", "https://a.com"),
        ("https://a.com.", "https://a.com."),
        ("https://a.com.", "https://a.com"),
        ("https://a.com:8443", "https://a.com.:8443"),
        ("https://straße.de", "https://xn--strae-oqa.de"),
        ("http://[0::1]:80", "http://[::1]"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_an_origin_may_be_written_in_other_ways_than_it_is_sent(written: str, sent: str) -> None:
    assert origin_exact(written)(request(sent)) is True
    assert origin_exact(written)(request("https://evil.com")) is False
    assert origin_exact("https://other.com", written)(request(sent)) is True


def test_a_prefix_may_be_written_in_other_ways_too() -> None:
    assert origin_prefix("HTTP://LocalHost")(request("http://localhost:8080")) is True
    assert origin_prefix("https://straße.de")(request("https://xn--strae-oqa.de:8443")) is True


@pytest.mark.parametrize("origin", ["ws://a.com", "wss://a.com", "*", "https://*.a.com", "a.com", "https://a.com/"])
def test_a_validator_is_not_made_of_what_no_browser_sends(origin: str) -> None:
    for make in (origin_exact, origin_prefix):
        with pytest.raises(ValueError, match="an origin is a scheme, a host and perhaps a port"):
            make("https://fine.com", origin)


@pytest.mark.parametrize("host", ["[0:0:0:0:0:0:0:1]:8000", "[::1]", "[::0001]"])
def test_an_ipv6_address_is_answered_in_each_spelling(host: str) -> None:
    assert host_allowed(host, LOOPBACK_HOSTS) is True
    assert host_allowed("[::2]", LOOPBACK_HOSTS) is False


def test_a_missing_origin_passes_only_where_it_is_said() -> None:
    assert origin_exact("http://a", missing=True)(request()) is True
    assert origin_exact("http://a")(request()) is False
    assert origin_prefix("http://a", missing=True)(request()) is True
    assert origin_prefix("http://a")(request()) is False
    assert origin_exact("http://a", missing=True)(request("")) is False
    assert origin_prefix("http://a", missing=True)(request("")) is False


def test_no_origins_let_nothing_pass() -> None:
    assert origin_exact()(request("http://a")) is False
    assert origin_prefix()(request("http://a")) is False


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://example.com", "example.com"),
        ("http://example.com", "example.com:80"),
        ("http://example.com:80", "example.com"),
        ("https://example.com", "example.com"),
        ("https://example.com", "example.com:443"),
        ("https://example.com:443", "example.com"),
        ("http://example.com:8080", "example.com:8080"),
        ("http://EXAMPLE.com", "Example.COM"),
        ("HTTP://example.com", "example.com"),
        ("ws://example.com", "example.com:80"),
        ("wss://example.com", "example.com:443"),
        ("http://example.com.", "example.com."),
        ("http://example.com:0", "example.com:0"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("http://[::1]", "[::1]"),
        ("http://[2001:DB8::1]", "[2001:db8::1]"),
    ],
)
def test_the_same_host_and_port_pass(origin: str, host: str) -> None:
    assert same_origin(request(origin, host)) is True


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.com", "example.com"),
        ("http://example.com:8080", "example.com"),
        ("http://example.com", "example.com:8080"),
        ("http://example.com", "example.com:443"),
        ("https://example.com", "example.com:80"),
        ("http://example.com.evil.com", "example.com"),
        ("http://sub.example.com", "example.com"),
        ("http://example.com@evil.com", "example.com"),
        ("http://[::1]", "[::2]"),
        ("http://[::1]", "::1"),
        ("http://::1", "[::1]"),
        ("null", "null"),
        ("", ""),
        ("", "example.com"),
        ("example.com", "example.com"),
        ("//example.com", "example.com"),
        ("file://", ""),
        ("file://example.com", "example.com"),
        ("chrome-extension://example.com", "example.com"),
        ("http://", ""),
        ("http://:80", ":80"),
        ("http://example.com:0", "example.com"),
        ("http://example.com", "example.com:0"),
        ("http://example.com:99999", "example.com:99999"),
        ("http://example.com:x", "example.com:x"),
        ("http://example.com:-1", "example.com:-1"),
        ("http://[::1", "[::1"),
        ("http://[x]", "[x]"),
        ("http://example.com", "example.com/path"),
        ("http://example.com", "user@example.com"),
        ("http://example.com", "evil.com#example.com"),
        ("http://evil.com", "evil.com?example.com"),
        ("http://example.com", ""),
        ("http://example.com\u00ff", "example.com"),
    ],
)
def test_all_else_is_refused(origin: str, host: str) -> None:
    """Hostile ports and brackets too, which urllib raises on."""
    assert same_origin(request(origin, host)) is False


def test_a_missing_origin_is_no_browser() -> None:
    assert same_origin(request(None)) is True


def test_a_missing_host_is_the_same_as_no_origin() -> None:
    assert same_origin(request("http://example.com", None)) is False


@pytest.mark.parametrize(("origin", "passes"), [("https://example.com", True), ("http://example.com", False)])
def test_where_this_server_ends_tls_the_page_must_have_used_it(origin: str, passes: bool) -> None:
    """Behind a proxy that ends TLS the scheme is not ours to compare."""
    assert same_origin(request(origin, secure=True)) is passes
    assert same_origin(request(origin, secure=False)) is True
    assert same_origin(request("https://example.com:80", "example.com:80", secure=True)) is True


hostile = st.text(st.characters(max_codepoint=0xFF), max_size=20) | st.text("htps:/[]@.#?%0123\\", max_size=15)


@given(hostile, hostile)
def test_no_text_raises(origin: str, host: str) -> None:
    asked = request(origin, host)
    for validator in (same_origin, origin_exact("http://a"), origin_prefix("http://a"), any_origin):
        assert type(validator(asked)) is bool
    assert type(host_allowed(host, LOOPBACK_HOSTS)) is bool


@pytest.mark.parametrize(
    ("host", "split"),
    [
        ("example.com", ("example.com", None)),
        ("Example.COM:80", ("example.com", 80)),
        ("localhost.", ("localhost", None)),
        ("[::1]:80", ("::1", 80)),
        ("", ("", None)),
        (":80", ("", 80)),
        ("a:b", ("", None)),
        ("a:", ("a", None)),
        ("a:00080", ("a", 80)),
        ("a:65535", ("a", 65535)),
        ("a:65536", ("", None)),
        ("a:99999", ("", None)),
        ("a:000080", ("a", 80)),
        ("a:\u0661", ("", None)),
        ("a\n", ("a", None)),
        (".", ("", None)),
        ("A_b.c..:1", ("a_b.c.", 1)),
        ("a/b", ("", None)),
        ("a?b", ("", None)),
        ("a#b", ("", None)),
        ("u@a", ("", None)),
        ("[a", ("", None)),
    ],
)
def test_a_host_field_is_a_name_and_a_port(host: str, split: tuple[str, int | None]) -> None:
    assert split_host(host) == split


@given(st.text("a0._-", max_size=12), st.sampled_from(["", ":0", ":080", ":65535", ":65536", ":000080", ":", ":x"]))
def test_a_plain_host_field_is_split_as_urlsplit_does(name: str, port: str) -> None:
    try:
        parts = urlsplit(f"//{name}{port}")
        expected = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        expected = "", None
    assert split_host(name + port) == expected


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("localhost", True),
        ("LOCALHOST:8080", True),
        ("localhost.", True),
        ("127.0.0.1:80", True),
        ("[::1]:80", True),
        ("evil.com", False),
        ("localhost.evil.com", False),
        ("evil.com:80@localhost", False),
        ("127.0.0.2", False),
        ("", False),
    ],
)
def test_only_names_of_this_server_are_answered(host: str, answered: bool) -> None:
    """A page whose name was made to resolve to 127.0.0.1 is of its own Host's origin: DNS rebinding."""
    assert host_allowed(host, LOOPBACK_HOSTS) is answered


def test_a_rebound_page_is_of_the_same_origin_and_only_its_name_gives_it_away() -> None:
    rebound = request("http://evil.com:8080", "evil.com:8080")
    assert same_origin(rebound) is True
    assert host_allowed("evil.com:8080", LOOPBACK_HOSTS) is False


def test_without_a_list_every_name_is_answered() -> None:
    assert host_allowed("evil.com", None) is True
    assert host_allowed("", None) is True


@pytest.mark.parametrize("origin", ["https://a.com/", "https://a.com/chat", "a.com", "", "*"])
def test_origin_exact_takes_nothing_that_no_browser_sends(origin: str) -> None:
    with pytest.raises(ValueError, match="an origin is a scheme, a host and perhaps a port, with nothing after it"):
        origin_exact("https://a.com", origin)
