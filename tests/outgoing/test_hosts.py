"""Hosts: names by IDNA 2008, dots at the end, addresses in any form, zones; and the parts of them that are sent."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest
import trio

from tests.certificates import make_contexts
from tests.outgoing.places import HttpProxy, answering, listening, serving, upgrading
from tests.server.sockets.test_listen import needs_ipv6
from wsframe import InvalidURL, connect
from wsframe.outgoing.hosts import with_zone
from wsframe.outgoing.proxy import Proxy
from wsframe.outgoing.url import Target, basic_authorization, redirected


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("straße.de", "xn--strae-oqa.de"), ("STRASSE.de", "strasse.de"), ("faß.example", "xn--fa-hia.example"),
        ("βόλος.com", "xn--nxasmm1c.com"), ("ma\u0308dchen.de", "xn--mdchen-bua.de"), ("BÜCHER.de", "xn--bcher-kva.de"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"), ("\uff41\uff0ecom", "a.com"),
        ("stra%C3%9Fe.de", "xn--strae-oqa.de"),
        ("my_service", "my_service"), ("a_b.straße.de", "a_b.xn--strae-oqa.de"),
        ("xn--strae-oqa.de", "xn--strae-oqa.de"),
        ("xn--ls8h.la", "xn--ls8h.la"), ("localhost.", "localhost."), ("straße.de.", "xn--strae-oqa.de."),
        ("127.0.0.1", "127.0.0.1"), ("127.1", "127.0.0.1"), ("0x7f.1", "127.0.0.1"), ("2130706433", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"), ("\uff11\uff12\uff17.0.0.1", "127.0.0.1"),
        ("[::0001]", "::1"), ("[FE80::A%25eth0]", "fe80::a"),
    ],
)  # fmt: skip
def test_a_host_is_written_as_dns_has_it(written: str, host: str) -> None:
    assert Target.parse(f"ws://{written}/").host == host
    assert Proxy.parse(f"http://{written}:3128").host == host


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("💩.la", "write it in ASCII, as xn--"), ("☃.net", "xn--"), ("ab\u2013c.com", "xn--"), ("-ä.de", "hyphen"),
        ("a..b", "labels of"), (".a", "labels of"), ("a..", "labels of"), (".", "labels of"), ("a%20b", "labels of"),
        ("a%2fb", "labels of"), ("a%00b", "labels of"), ("%ff.de", "not UTF-8"), ("ü" * 60, "xn--|labels of"),
        ("1.2.3.4.5", "IPv4"), ("256.1.1.1", "IPv4"), ("a.0x", "IPv4"), ("example.1", "IPv4"),
        ("[fe80::1%]", "zone|read"),
        ("[fe80::1%25a b]", "space"), ("[fe80::1%25a%2f]", "zone|read"), ("[::1.2.3]", "IPv6|read"),
        ("[v1.a]", "IPv6|read"), ("[::1]x", "brackets|read"), ("x[::1]", "brackets|read"),
        ("[::1].example", "brackets|read"),
        ("good.example\\@evil.example", "backslash"), ("evil.example\\.good.example", "backslash"),
        ("a\ud800b", "read"),
        ("us%0aer:p@a", "control"), ("us:p%00@a", "control"),
    ],
)  # fmt: skip
def test_what_is_no_host_is_refused_with_a_reason(written: str, reason: str) -> None:
    with pytest.raises(InvalidURL, match=reason):
        Target.parse(f"ws://{written}/")


def test_a_zone_says_where_to_connect_and_is_never_sent() -> None:
    for written in ("[fe80::1%25eth0]", "[fe80::1%eth0]"):
        target = Target.parse(f"ws://{written}:8000/")
        assert (target.host, target.zone) == ("fe80::1", "eth0")
        assert (target.authority, target.destination) == ("[fe80::1]:8000", "[fe80::1]:8000")
        assert "eth0" not in str(target)


@pytest.mark.parametrize("zone", [str(socket.if_nameindex()[0][0]), socket.if_nameindex()[0][1]])
def test_a_zone_is_an_interface_by_name_or_number(zone: str) -> None:
    assert with_zone("fe80::1", zone) == f"fe80::1%{socket.if_nameindex()[0][0]}"
    assert with_zone("fe80::1", "") == "fe80::1"


async def test_an_interface_that_is_not_there_is_an_os_error() -> None:
    with pytest.raises(OSError, match=r"\[fe80::1\]: there is no network interface 'nowhere0' here"):
        await connect("ws://[fe80::1%25nowhere0]/", proxy=None).__aenter__()


def test_the_zone_is_ours_where_a_redirect_stays_at_the_address() -> None:
    here = Target.parse("ws://us:secret@[fe80::1%25eth0]:8000/")
    for location in ("/x", "ws://[fe80::1]:8000/x"):
        assert redirected(here, location).origin == here.origin
        assert redirected(here, location).credentials == ("us", "secret")
    assert redirected(here, "ws://[fe80::2]:8000/x").zone == ""


def test_credentials_are_bytes_and_stay_what_they_are() -> None:
    credentials = Target.parse("ws://%ff:%c3%a4@a/").credentials
    assert credentials is not None
    assert basic_authorization(credentials) == "Basic /zrDpA=="  # FF 3A C3 A4


class Loopback(trio.abc.HostnameResolver):
    """Resolves every name to this machine, and notes it."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    async def getaddrinfo(self, host: Any, port: Any, *_args: object, **_kwargs: object) -> list[Any]:
        self.asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", int(port)))]

    async def getnameinfo(self, *_args: object) -> tuple[str, str]:
        raise NotImplementedError


@pytest.mark.parametrize("written", ["chat.example", "chat.example.", "CHAT.example."])
async def test_the_dot_at_the_end_is_in_host_and_nowhere_in_tls(written: str) -> None:
    theirs, ours = make_contexts("chat.example")
    names: list[str | None] = []
    theirs.sni_callback = lambda _sock, name, _context: names.append(name)
    resolver = Loopback()
    trio.socket.set_custom_hostname_resolver(resolver)
    async with serving(ssl_context=theirs) as server:
        port = server.addresses[0].rpartition(":")[2]
        async with connect(f"wss://{written}:{port}/echo", ssl_context=ours, proxy=None) as ws:
            await ws.send("header host")
            assert await ws.receive() == f"{written.lower()}:{port}"
    assert names == ["chat.example"]
    assert resolver.asked == [written.lower().encode()]


async def test_a_certificate_for_another_name_is_refused_with_the_dot_too() -> None:
    theirs, ours = make_contexts("chat.example")
    trio.socket.set_custom_hostname_resolver(Loopback())
    async with serving(ssl_context=theirs) as server:
        port = server.addresses[0].rpartition(":")[2]
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(f"wss://other.example.:{port}/echo", ssl_context=ours, proxy=None).__aenter__()


async def test_a_name_with_an_underscore_is_resolved() -> None:
    resolver = Loopback()
    trio.socket.set_custom_hostname_resolver(resolver)
    seen: list[bytes] = []
    async with (
        listening(answering(upgrading(), seen=seen)) as port,
        connect(f"ws://my_service:{port}/", proxy=None) as ws,
    ):
        ws.abort()
    assert resolver.asked == [b"my_service"]
    assert b"\r\nHost: my_service:%d\r\n" % port in seen[0]


@needs_ipv6
async def test_a_zone_is_used_to_connect_and_left_out_of_host() -> None:
    seen: list[bytes] = []
    loopback = next(name for index, name in socket.if_nameindex() if index == 1)
    async with (
        listening(answering(upgrading(), seen=seen), host="::1") as port,
        connect(f"ws://[::1%25{loopback}]:{port}/", proxy=None) as ws,
    ):
        ws.abort()
    assert b"\r\nHost: [::1]:%d\r\n" % port in seen[0]


async def test_a_proxy_is_asked_for_the_address_without_zone() -> None:
    proxy = HttpProxy(names={"[::1]": "127.0.0.1", "::1": "127.0.0.1"})
    async with serving() as server, listening(proxy) as port:
        target = server.addresses[0].rpartition(":")[2]
        async with connect(f"ws://[::1%25lo]:{target}/echo", proxy=f"http://127.0.0.1:{port}") as ws:
            await ws.send("x")
            assert await ws.receive() == "x"
    assert proxy.asked == [f"[::1]:{target}"]
