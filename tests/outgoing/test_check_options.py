"""Wrong options raise where they are given, by an error that names them; and outside of trio it is said."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

import wsframe
import wsframe.testing
from wsframe import Backoff, Deflate, Timeouts, connect, connect_forever

URL = "ws://127.0.0.1:1/"
NAN = float("nan")

WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    *(({"url": url}, TypeError, "a URL must be a str") for url in (None, 3, b"ws://a/", Path("ws://a/"))),
    ({"url": "ws://a/#top"}, ValueError, "fragment"),
    ({"url": "ws://a:99999/"}, ValueError, "Port"),
    ({"url": "ws://a:0/"}, ValueError, "port 0"),
    *(
        ({"headers": {"A": value}}, ValueError, "'A'")
        for value in ("b\r\nC: d", "b\n", "b\r", "\0", "\x01", "\U0001f4a9")
    ),
    *(({"headers": {name: "b"}}, ValueError, "header field") for name in ("", "a b", "a:", "a\r\n", "ä")),
    *(({"headers": given}, TypeError, "header") for given in (3, None, "A: b", ["A: b"], [("a", "b", "c")], {"A": 1})),
    ({"headers": {b"A": b"b"}}, TypeError, "header"),
    ({"headers": {"A": " b"}}, ValueError, "spaces around"),
    *(({"headers": {"Host": host}}, ValueError, "Host") for host in ("", "a b", "a/b", "a,b", "us@a", "a:b", "[::1")),
    *(
        ({"headers": [(name, "a"), (name.lower(), "b")]}, ValueError, "given 2 times")
        for name in ("Host", "Origin", "Authorization", "Proxy-Authorization", "User-Agent")
    ),
    *(({"headers": {name: "x"}}, ValueError, name) for name in ("Connection", "Upgrade", "Sec-WebSocket-Key")),
    *(({"subprotocols": given}, TypeError, "subprotocols") for given in ("chat", b"chat", None, 3, [b"chat"], [None])),
    *(({"subprotocols": [name]}, ValueError, "subprotocols") for name in ("", "a,b", "a b", "a\r\nb", "ä", "a/b")),
    ({"subprotocols": ["a", "a"]}, ValueError, "twice"),
    *(({"keep_on_redirect": given}, TypeError, "keep_on_redirect") for given in ("Cookie", True, None, [3])),
    *(({"keep_on_redirect": [name]}, ValueError, "keep_on_redirect") for name in ("*", "Host", "host", "a b", "")),
    ({"opening": {}}, TypeError, "opening must be Opening"),
    ({"opening": None}, TypeError, "opening must be Opening"),
    ({"limits": {}}, TypeError, "limits must be Limits"),
    ({"timeouts": 5}, TypeError, "timeouts must be Timeouts"),
    ({"deflate": True}, TypeError, "deflate must be Deflate or None"),
    ({"deflate": Deflate}, TypeError, "deflate must be Deflate or None"),
    ({"ssl_context": True}, TypeError, "ssl_context must be SSLContext or None"),
    ({"ssl_context": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)}, ValueError, "ssl_context must be for clients"),
    *(({"proxy": proxy}, TypeError, "proxy must be str or None") for proxy in (True, b"http://a", ["http://a"])),
    *(({"proxy": proxy}, ValueError, "proxy|URL") for proxy in ("", "socks4://a", "http://a:99999", "a b")),
    *(({"unix": path}, TypeError, "unix must be str or PathLike or None") for path in (3, b"/x", True)),
    *(({"unix": path}, ValueError, "unix must be a path of") for path in ("", "/" + "a" * 200)),
    ({"unix": "/x", "proxy": "http://a"}, ValueError, "two ways"),
]


@pytest.mark.parametrize("make", [connect, connect_forever])
@pytest.mark.parametrize(("options", "error", "text"), WRONG)
def test_a_wrong_option_is_named(
    options: dict[str, Any], error: type[Exception], text: str, make: Callable[..., object]
) -> None:
    with pytest.raises(error, match=text):
        make(**{"url": URL, **options})


RIGHT: list[dict[str, Any]] = [
    {"headers": {"Host": "example.com:80"}},
    {"headers": {"Host": "[::1]"}},
    {"headers": [("Cookie", "a=1"), ("Cookie", "b=2")]},
    {"headers": {"A": ""}},
    {"subprotocols": (name for name in "ab")},
    {"subprotocols": {"a": 1}},
    {"keep_on_redirect": {"Cookie"}},
    {"unix": Path("/x")},
    {"unix": "/" + "a" * 90, "proxy": None},
    {"unix": "\0abstract"},
]


@pytest.mark.parametrize("options", RIGHT)
def test_what_can_be_sent_passes(options: dict[str, Any]) -> None:
    connect(URL, **options)


@pytest.mark.parametrize("given", [{"most": float("inf")}, {"first": float("inf")}, {"most": NAN}, {"steady": NAN}])
def test_a_backoff_has_an_end(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"Backoff.{next(iter(given))}"):
        Backoff(**given)


@pytest.mark.parametrize("field", ["ping_interval", "ping_timeout", "write_stall", "close"])
def test_a_timeout_is_a_number(field: str) -> None:
    for value in (NAN, -2):
        with pytest.raises(ValueError, match=f"Timeouts.{field}"):
            Timeouts(**{field: value})


class Nothing(wsframe.Resource):
    pass


def registry() -> wsframe.Registry:
    made = wsframe.Registry(alone=True)
    made.register("/", Nothing())
    return made


@pytest.mark.parametrize(
    "make",
    [
        lambda: connect(URL),
        lambda: connect_forever(URL),
        lambda: wsframe.open_server(registry(), port=0),
        lambda: wsframe.testing.open_client(Nothing()),
    ],
    ids=["connect", "connect_forever", "open_server", "open_client"],
)
def test_under_asyncio_it_says_how_to_run_trio(make: Callable[[], AbstractAsyncContextManager[object]]) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"wsframe runs on trio.*start_guest_run"):
            await make().__aenter__()
        with pytest.raises(RuntimeError, match=r"wsframe runs on trio"):
            await wsframe.serve(registry(), port=0)

    asyncio.run(main())


async def test_a_connection_that_is_awaited_has_nobody_to_close_it() -> None:
    with pytest.raises(TypeError, match=r"async with connect\(url\) as ws"):
        await connect("ws://localhost/")  # type: ignore[misc]
