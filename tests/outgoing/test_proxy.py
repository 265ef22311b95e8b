"""The choice of the proxy: the argument, or the environment."""

from __future__ import annotations

import os

import pytest

from wsframe.outgoing.exceptions import InvalidURL
from wsframe.outgoing.proxy import ENVIRONMENT, Proxy, proxy_for
from wsframe.outgoing.url import Target

PLAIN = Target.parse("ws://chat.example.com:8000/")
SECURE = Target.parse("wss://chat.example.com/")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def test_without_any_there_is_none() -> None:
    assert proxy_for(PLAIN, ENVIRONMENT) is None
    assert proxy_for(PLAIN, None) is None


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy.example", Proxy("http", "proxy.example", 80)),
        ("proxy.example:3128", Proxy("http", "proxy.example", 3128)),
        ("https://[::1]", Proxy("https", "::1", 443)),
        ("socks5h://us:p%40ss@proxy.example", Proxy("socks5h", "proxy.example", 1080, ("us", "p@ss"))),
    ],
)
def test_an_argument_wins(url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://wrong.example")
    monkeypatch.setenv("NO_PROXY", "*")
    assert proxy_for(SECURE, url) == proxy
    assert "p@ss" not in str(proxy)


def test_the_name_of_a_proxy_is_its_url() -> None:
    assert str(Proxy("https", "::1", 443)) == "https://[::1]:443"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://proxy.example", "http://", "socks4://proxy.example", "http://a b", "socks5://ü:p@proxy.example",
        f"socks5h://u:{'p' * 256}@proxy.example",
    ],
)  # fmt: skip
def test_what_is_no_proxy_is_refused(url: str) -> None:
    with pytest.raises(InvalidURL):
        proxy_for(PLAIN, url)


def test_the_environment_names_one_for_each_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://plain.example:1")
    monkeypatch.setenv("https_proxy", "http://secure.example:2")
    monkeypatch.setenv("ALL_PROXY", "socks5://all.example")
    assert str(proxy_for(PLAIN, ENVIRONMENT)) == "http://plain.example:1"
    assert str(proxy_for(SECURE, ENVIRONMENT)) == "http://secure.example:2"
    monkeypatch.delenv("https_proxy")
    assert str(proxy_for(SECURE, ENVIRONMENT)) == "socks5://all.example:1080"


@pytest.mark.parametrize(
    ("no_proxy", "host", "bypassed"),
    [
        ("*", "chat.example.com", True),
        ("*", "10.1.2.3", True),
        ("example.com", "chat.example.com", True),
        ("example.com", "example.com", True),
        (".example.com", "chat.example.com", True),
        (".example.com", "example.com", True),
        ("*.example.com", "chat.example.com", True),
        ("*.example.com", "example.com", False),
        ("chat.*.com", "chat.example.com", True),
        ("example.com.", "chat.example.com", True),
        ("example.com", "chat.example.com.", True),
        ("other, CHAT.example.com", "chat.example.com", True),
        ("other chat.example.com", "chat.example.com", True),
        ("other,\tchat.example.com,", "chat.example.com", True),
        ("chat.example.com:8000", "chat.example.com", True),
        ("chat.example.com:8001", "chat.example.com", False),
        ("*.example.com:8000", "chat.example.com", True),
        ("*.example.com:8001", "chat.example.com", False),
        ("hat.example.com", "chat.example.com", False),
        ("example.co", "chat.example.com", False),
        ("straße.de", "www.straße.de", True),
        ("xn--strae-oqa.de", "straße.de", True),
        ("strasse.de", "straße.de", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.99/24", "10.1.2.3", True),
        ("10.0.0.0/8", "10.example.com", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3:8000", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.30", False),
        ("1.2.3", "10.1.2.3", False),
        ("127.0.0.1", "127.1", True),
        ("10.*", "10.1.2.3", True),
        ("10.0.0.0/33", "10.1.2.3", False),
        ("10.0.0.0/", "10.1.2.3", False),
        ("10.0.0.0/x", "10.1.2.3", False),
        ("::1", "[::1]", True),
        ("[::1]", "[::1]", True),
        ("[::1]:8000", "[::1]", True),
        ("[::1]:8001", "[::1]", False),
        ("0:0::1", "[::1]", True),
        ("::1", "[::2]", False),
        ("fd00::/8", "[fd12::3]", True),
        ("[fd00::]/8", "[fd12::3]", True),
        ("[fd00::/8]", "[fd12::3]", True),
        ("fd00::/8", "[fe80::1]", False),
        ("10.0.0.0/8", "[::1]", False),
        ("fe80::1", "[fe80::1%25eth0]", True),
        ("fe80::1%eth0", "[fe80::1%25eth0]", True),
        ("", "chat.example.com", False),
        (" , . .. / [ ] [] : :: *:1 http://chat.example.com", "chat.example.com", False),
    ],
)
def test_no_proxy_is_read_as_curl_reads_it(
    no_proxy: str, host: str, bypassed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert (proxy_for(Target.parse(f"ws://{host}:8000/"), ENVIRONMENT) is None) is bypassed


def test_a_cgi_program_takes_no_proxy_from_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field ``Proxy`` of the request is HTTP_PROXY there."""
    monkeypatch.setenv("HTTP_PROXY", "http://evil.example")
    monkeypatch.setenv("REQUEST_METHOD", "GET")
    assert proxy_for(PLAIN, ENVIRONMENT) is None
