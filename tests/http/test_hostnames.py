"""Names and origins as browsers send them, and an error for a spelling that no browser sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.http.hostnames import browser_origin, browser_prefix, canonical_host, host_names


@pytest.mark.parametrize(
    ("name", "compared"),
    [
        ("chat.example", "chat.example"),
        ("CHAT.Example", "chat.example"),
        ("chat.example.", "chat.example"),
        ("straße.de", "xn--strae-oqa.de"),
        ("STRASSE.de", "strasse.de"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("日本。jp", "xn--wgv71a.jp"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("a_b", "a_b"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("2001:DB8::0001", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]", "fe80::1"),
        ("::ffff:127.0.0.1", "::ffff:7f00:1"),
    ],
)
def test_a_name_of_hosts_is_compared_as_browsers_send_it(name: str, compared: str) -> None:
    assert host_names([name]) == frozenset([compared])
    assert canonical_host(compared) == compared


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("chat.example:8000", "'chat.example' instead of"),
        ("https://chat.example", "'chat.example' instead of"),
        ("https://chat.example:8000/x?y#z", "'chat.example' instead of"),
        ("//chat.example", "'chat.example' instead of"),
        ("chat.example/", "'chat.example' instead of"),
        ("chat.example/x", "'chat.example' instead of"),
        ("user@chat.example", "'chat.example' instead of"),
        (" chat.example", "'chat.example' instead of"),
        ("chat.example\n", "'chat.example' instead of"),
        ("[::1]:8000", "'::1' instead of"),
        ("Bücher.example:80", "'xn--bcher-kva.example' instead of"),
        ("*.chat.example", r"list each name, or \['\*'\] for any"),
        ("chat*", r"list each name, or \['\*'\] for any"),
        ("", "such as 'chat.example'"),
        (".", "such as 'chat.example'"),
        ("chat..example", "such as 'chat.example'"),
        ("chat example", "such as 'chat.example'"),
        ("a.com,b.com", "such as 'chat.example'"),
        ("[::1", "such as 'chat.example'"),
        ("a:b", "such as 'chat.example'"),
        ("127.1", "four numbers"),
        ("127.0.0.300", "four numbers"),
        ("0x7f000001", "four numbers"),
        ("a" * 64, "not a host name"),
        ("xn--\xff", "not a host name"),
    ],
)
def test_what_no_host_field_holds_is_a_value_error_with_the_right_form(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        host_names(["fine.example", name])


@pytest.mark.parametrize(
    ("hosts", "error"),
    [("chat.example", TypeError), ([b"a"], TypeError), ([None], TypeError), (5, TypeError), ([], ValueError)],
)
def test_hosts_are_several_names(hosts: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="hosts is"):
        host_names(hosts)


def test_a_star_alone_is_any_name() -> None:
    assert host_names(["*"]) is None
    assert host_names({"chat.example", "*"}) is None


ORIGINS = [
    ("https://a.com", "https://a.com"),
    ("HTTPS://A.Com", "https://a.com"),
    ("https://a.com:443", "https://a.com"),
    ("http://a.com:80", "http://a.com"),
    ("http://a.com:", "http://a.com"),
    ("http://a.com:443", "http://a.com:443"),
    ("http://a.com:08080", "http://a.com:8080"),
    ("https://a.com.", "https://a.com"),
    ("https://straße.de", "https://xn--strae-oqa.de"),
    ("http://[0::1]:8000", "http://[::1]:8000"),
    ("http://[fe80::1%25eth0]", "http://[fe80::1]"),
    ("null", "null"),
    ("NULL", "null"),
    ("file://", "file://"),
    ("file:///", "file://"),
    ("chrome-extension://abcdef", "chrome-extension://abcdef"),
    ("moz-extension://0-1", "moz-extension://0-1"),
    ("capacitor://localhost", "capacitor://localhost"),
    ("app://obsidian.md", "app://obsidian.md"),
    ("content://", "content://"),
]


@pytest.mark.parametrize(("origin", "sent"), ORIGINS)
def test_an_origin_is_compared_as_browsers_send_it(origin: str, sent: str) -> None:
    assert browser_origin(origin) == sent
    assert browser_origin(sent) == sent


@pytest.mark.parametrize(
    ("origin", "right"),
    [
        ("ws://a.com", "http://a.com"),
        ("wss://a.com:8000/chat", "https://a.com:8000"),
        ("*", "https://example.com"),
        ("https://*.a.com", "https://example.com"),
        ("https://a.com/", "https://a.com"),
        ("https://a.com/chat?x#y", "https://a.com"),
        ("https://a.com?x", "https://a.com"),
        ("https://a.com#x", "https://a.com"),
        ("https://a.com\\x", "https://a.com"),
        ("https://user:word@a.com", "https://a.com"),
        (" https://a.com", "https://a.com"),
        ("https://a.com ", "https://a.com"),
        ("https://a.com\n", "https://a.com"),
        ("https://a.com, https://b.com", "https://example.com"),
        ("https://a b", "https://example.com"),
        ("a.com", "https://a.com"),
        ("//a.com", "https://a.com"),
        ("http:a.com", "http://a.com"),
        ("http:/a.com", "http://a.com"),
        ("localhost:8000", "https://localhost:8000"),
        ("", "https://example.com"),
        ("https://", "https://example.com"),
        ("https://:80", "https://example.com"),
        ("https://a.com:99999", "https://a.com"),
        ("https://a.com:x", "https://example.com"),
        ("https://a..com", "https://example.com"),
        ("http://127.1", "https://example.com"),
        ("http://::1", "http://[::1]"),
        ("file:///home/x.html", "file://"),
        ("file://host", "file://"),
        ("capacitor://localhost/", "capacitor://localhost"),
        ("data:text/html,x", "null"),
        ("about:blank", "null"),
        ("blob:https://a.com/1-2", "https://a.com"),
        ("chrome-extension://ab cd", "https://example.com"),
        ("https://a.com:\N{ARABIC-INDIC DIGIT EIGHT}", "https://example.com"),
        ("https://a.com:\N{SUPERSCRIPT TWO}", "https://example.com"),
    ],
)
def test_what_no_browser_sends_is_a_value_error_with_the_right_form(origin: str, right: str) -> None:
    with pytest.raises(
        ValueError, match="an origin is a scheme, a host and perhaps a port, with nothing after it"
    ) as told:
        browser_origin(origin)
    assert f"such as {right!r}, not {origin!r}" in str(told.value)
    browser_origin(right)


@pytest.mark.parametrize("make", [browser_origin, browser_prefix])
@pytest.mark.parametrize("given", [["https://a.com"], None, b"https://a.com"])
def test_an_origin_is_one_str(make: Callable[[Any], str], given: Any) -> None:
    with pytest.raises(TypeError, match=r"is a str such as .*: give several as arguments"):
        make(given)


@pytest.mark.parametrize(
    ("prefix", "sent"),
    [
        ("http://LOCALHOST", "http://localhost"),
        ("http://localhost:", "http://localhost:"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:", "http://[::1]:"),
        ("https://", "https://"),
        ("http", "http"),
        ("http:", "http:"),
        ("chrome-extension://", "chrome-extension://"),
        ("file://", "file://"),
        ("null", "null"),
    ],
)
def test_a_prefix_is_compared_as_browsers_send_it(prefix: str, sent: str) -> None:
    assert browser_prefix(prefix) == sent


@pytest.mark.parametrize(
    "prefix",
    ["ws://", "wss://a.com", "*", "http://*", "localhost", "localhost:", "a.com", "https://a.com/", "https://a.com/x"],
)
def test_a_prefix_that_no_origin_has_is_a_value_error(prefix: str) -> None:
    with pytest.raises(ValueError, match="an origin is a scheme"):
        browser_prefix(prefix)


@pytest.mark.parametrize("prefix", ["http://localhost:80", "https://a.com:443", "http://[::1]:80"])
def test_a_prefix_with_the_port_of_its_scheme_does_not_come_to_admit_every_port(prefix: str) -> None:
    with pytest.raises(ValueError, match=r"browsers leave out the port of the scheme: origin_exact\("):
        browser_prefix(prefix)


@given(st.text(max_size=20) | st.text("htps:/[]@.#?%012\\*ü ", max_size=15))
def test_no_text_raises_anything_else(text: str) -> None:
    for make in (browser_origin, browser_prefix, canonical_host, lambda text: host_names([text])):
        try:
            made = make(text)
        except ValueError:
            continue
        if make is not browser_prefix and isinstance(made, str):
            assert make(made) == made
