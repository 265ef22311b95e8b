"""Which proxy is asked: the argument, or what the environment says."""

from __future__ import annotations

import os

import pytest

from wsframe.exceptions import InvalidURL
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
    ("no_proxy", "bypassed"),
    [
        ("*", True),
        ("example.com", True),
        (".example.com", True),
        ("other, CHAT.example.com", True),
        ("chat.example.com:8000", True),
        ("chat.example.com:8001", False),
        ("hat.example.com", False),
        ("example.co", False),
        ("", False),
        (" , .", False),
    ],
)
def test_no_proxy_names_hosts_domains_and_ports(no_proxy: str, bypassed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert (proxy_for(PLAIN, ENVIRONMENT) is None) is bypassed
