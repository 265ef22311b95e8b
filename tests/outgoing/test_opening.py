"""Proxies, and servers that lie, drip or say nothing."""

from __future__ import annotations

import ssl
from base64 import b64encode

import pytest
import trio

from tests.certificates import Contexts, make_contexts
from tests.outgoing.places import HttpProxy, Script, SocksProxy, answering, head_of, listening, serving, upgrading
from wsframe import (
    HandshakeFailed,
    HandshakeRejected,
    Opening,
    OpeningTimeout,
    ProxyFailed,
    connect,
)
from wsframe.http.client_handshake import MOST_PIECES, Upgrade, Upgraded


async def test_frames_behind_the_101_are_received() -> None:
    async with (
        listening(answering(upgrading(tail=b"\x81\x02hi\x88\x00"))) as port,
        connect(f"ws://127.0.0.1:{port}/") as ws,
    ):
        assert [message async for message in ws] == ["hi"]
        ws.abort()


# Servers that lie


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (upgrading("Sec-WebSocket-Accept: x"), "Sec-WebSocket-Accept"),
        (upgrading("Sec-WebSocket-Protocol: chat"), "subprotocol"),
        (upgrading("Sec-WebSocket-Extensions: permessage-deflate"), "extensions"),
        (lambda _: b"\x81\x02hi\r\n\r\n", "not HTTP"),
        (lambda _: b"HTTP/1.1 101 OK\r\nX: " + b"x" * 10_000_000, "too large|not HTTP"),
        (lambda _: b"HTTP/1.1 101 OK\r\n" + b"X: y\r\n" * 1_000_000, "too large|not HTTP"),
    ],
)
async def test_a_server_that_lies_is_refused(script: Script, reason: str) -> None:
    async with listening(answering(script)) as port:
        with pytest.raises(HandshakeFailed, match=reason):
            await connect(f"ws://127.0.0.1:{port}/").__aenter__()


async def test_a_server_that_hangs_up_is_an_os_error() -> None:
    async def handle(stream: trio.SocketStream) -> None:
        await head_of(stream)

    async with listening(handle) as port:
        with pytest.raises(ConnectionResetError):
            await connect(f"ws://127.0.0.1:{port}/").__aenter__()


async def test_a_server_that_says_nothing_is_given_up() -> None:
    async with listening(answering(lambda _: b"")) as port:
        with pytest.raises(OpeningTimeout, match=r"the handshake took longer than 0\.05 s"):
            await connect(f"ws://127.0.0.1:{port}/", opening=Opening(handshake=0.05)).__aenter__()


async def test_a_server_that_drips_is_given_up() -> None:
    async def drip(stream: trio.SocketStream) -> None:
        await head_of(stream)
        while True:
            await stream.send_all(b"H")
            await trio.sleep(0.01)

    async with listening(drip) as port:
        with pytest.raises((OpeningTimeout, HandshakeFailed)):
            await connect(f"ws://127.0.0.1:{port}/", opening=Opening(handshake=0.2)).__aenter__()


async def test_a_refusal_whose_body_never_ends_is_told_in_time() -> None:
    script = answering(lambda _: b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nso far")
    async with listening(script) as port:
        with pytest.raises(HandshakeRejected) as caught:
            await connect(f"ws://127.0.0.1:{port}/", opening=Opening(handshake=0.2)).__aenter__()
    assert (caught.value.status, caught.value.body) == (503, b"so far")


async def test_a_refusal_in_tiny_chunks_is_read_in_short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk costs h11 as much as a head, so a large read of them would hold up every other task."""
    reads: list[int] = []
    receive = Upgrade.receive

    def note(upgrade: Upgrade, data: bytes) -> Upgraded | None:
        reads.append(len(data))
        return receive(upgrade, data)

    monkeypatch.setattr(Upgrade, "receive", note)
    answer = b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 100_000
    async with listening(answering(lambda _: answer)) as port:
        with pytest.raises(HandshakeRejected) as caught:
            await connect(f"ws://127.0.0.1:{port}/", opening=Opening(max_body=20_000)).__aenter__()
    assert len(caught.value.body) == MOST_PIECES
    assert max(reads) <= 8192


async def test_tls_with_a_server_that_says_nothing_is_given_up() -> None:
    async def silent(stream: trio.SocketStream) -> None:
        async for _ in stream:
            pass

    async with listening(silent) as port:
        with pytest.raises(OpeningTimeout, match="the TLS handshake"):
            await connect(f"wss://127.0.0.1:{port}/", opening=Opening(tls=0.05)).__aenter__()


async def test_tls_with_a_server_that_hangs_up_is_an_os_error() -> None:
    async def hang_up(stream: trio.SocketStream) -> None:
        await stream.receive_some(10)

    async with listening(hang_up) as port:
        with pytest.raises(OSError):  # noqa: PT011
            await connect(f"wss://127.0.0.1:{port}/").__aenter__()


# Proxies


@pytest.fixture(scope="module")
def tls() -> Contexts:
    return make_contexts("chat.example")


async def echoes(url: str, **options: object) -> None:
    async with connect(url, **options) as ws:  # type: ignore[arg-type]
        for message in ("hi", b"x" * 300_000):
            await ws.send(message)
            assert await ws.receive() == message
    assert ws.closed_cleanly


async def test_through_an_http_proxy() -> None:
    proxy = HttpProxy()
    async with serving() as server, listening(proxy) as port:
        await echoes(f"{server.addresses[0]}/echo", proxy=f"http://127.0.0.1:{port}")
        assert proxy.asked == [server.addresses[0].removeprefix("ws://")]


async def test_through_an_http_proxy_of_the_environment_with_tls_and_authorization(
    tls: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = tls
    proxy = HttpProxy(f"Basic {b64encode(b'us:p@ss').decode()}", names={"chat.example": "127.0.0.1"})
    async with serving(ssl_context=theirs) as server, listening(proxy) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://us:p%40ss@127.0.0.1:{port}")
        target = server.addresses[0].replace("127.0.0.1", "chat.example")
        await echoes(f"{target}/echo", ssl_context=ours)
        assert proxy.asked == [target.removeprefix("wss://")]


async def test_tls_within_tls(tls: Contexts, monkeypatch: pytest.MonkeyPatch) -> None:
    """An https proxy: our TLS with the server runs inside our TLS with the proxy."""
    theirs, ours = tls
    monkeypatch.setattr("wsframe.outgoing.tunnel.default_context", lambda: ours)
    async with serving(ssl_context=theirs) as server, trio.open_nursery() as nursery:
        target = int(server.addresses[0].rpartition(":")[2])

        async def proxy(stream: trio.SocketStream) -> None:
            secure = trio.SSLStream(stream, theirs, server_side=True, https_compatible=True)
            await head_of(secure)
            await secure.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
            async with await trio.open_tcp_stream("127.0.0.1", target) as other, trio.open_nursery() as relays:

                async def back() -> None:
                    async for raw in other:
                        await secure.send_all(raw)
                    await stream.aclose()

                relays.start_soon(back)
                async for raw in secure:
                    await other.send_all(raw)

        async with (
            listening(proxy) as port,
            connect(f"{server.addresses[0]}/echo", proxy=f"https://127.0.0.1:{port}", ssl_context=ours) as ws,
        ):
            for message in ("hi", b"x" * 300_000):
                await ws.send(message)
                assert await ws.receive() == message
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("answer", "status", "temporary", "reason"),
    [
        (b"HTTP/1.1 407 No\r\n\r\n", 407, False, "answered 407"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", 503, True, "answered 503"),
        (b"HTTP/1.1 503 Busy\r\n\r\n" + b"a page of its own " * 2000, 503, True, "answered 503"),
        (b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 403 No\r\n\r\n", 403, False, "answered 403"),
        (b"SSH-2.0\r\n\r\n", None, False, "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, None, False, "not HTTP|too large"),
        (b"HTTP/1.1 200 OK\r\n\r\nsurprise", None, False, "of its own"),
        (b"HTTP/1.1 100 Go on\r\n\r\n" * 10_000, None, False, "too large"),
    ],
)
async def test_a_proxy_that_refuses(answer: bytes, status: int | None, temporary: bool, reason: str) -> None:
    async with listening(answering(lambda _: answer)) as port:
        with pytest.raises(ProxyFailed, match=reason) as caught:
            await connect("ws://chat.example/", proxy=f"http://us:secret@127.0.0.1:{port}").__aenter__()
    assert (caught.value.status, caught.value.temporary) == (status, temporary)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.0 200 Connection established\r\n\r\n",
        b"HTTP/1.1 299\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
async def test_a_proxy_s_yes_has_no_body_whatever_its_fields_say(answer: bytes) -> None:
    """RFC 9110 section 9.3.6."""

    async def proxy(stream: trio.SocketStream) -> None:
        await head_of(stream)
        await stream.send_all(answer)
        await stream.send_all(upgrading(tail=b"\x81\x02hi\x88\x00")(await head_of(stream)))
        async for _ in stream:
            pass

    async with (
        listening(proxy) as port,
        connect("ws://chat.example/", proxy=f"http://127.0.0.1:{port}") as ws,
    ):
        assert [message async for message in ws] == ["hi"]
        ws.abort()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: ws://evil.example/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 199 Early\r\n" * 2,
        b"HTTP/2.0 200 OK\r\n\r\n",
    ],
)
async def test_a_proxy_opens_a_tunnel_or_fails(answer: bytes) -> None:
    async with listening(answering(lambda _: answer)) as port:
        with pytest.raises((ProxyFailed, OpeningTimeout)):
            await connect(
                "ws://chat.example/", proxy=f"http://127.0.0.1:{port}", opening=Opening(tunnel=0.5)
            ).__aenter__()


async def test_a_proxy_that_hangs_up_is_an_os_error() -> None:
    async def hang_up(stream: trio.SocketStream) -> None:
        await head_of(stream)

    async with listening(hang_up) as port:
        with pytest.raises(ConnectionResetError, match="proxy"):
            await connect("ws://chat.example/", proxy=f"http://127.0.0.1:{port}").__aenter__()


async def test_a_proxy_without_tls_is_told_with_its_url() -> None:
    async def plain(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with listening(plain) as port:
        with pytest.raises(ssl.SSLError, match=rf"the proxy https://127\.0\.0\.1:{port} does not speak TLS"):
            await connect("ws://chat.example/", proxy=f"https://127.0.0.1:{port}").__aenter__()


async def test_a_proxy_that_says_nothing_is_given_up() -> None:
    async with listening(answering(lambda _: b"")) as port:
        with pytest.raises(OpeningTimeout, match="the proxy's answer"):
            await connect(
                "ws://chat.example/", proxy=f"http://127.0.0.1:{port}", opening=Opening(tunnel=0.05)
            ).__aenter__()


@pytest.mark.parametrize("user", [None, ("us", "p@ss")])
async def test_through_a_socks_proxy(user: tuple[str, str] | None) -> None:
    proxy = SocksProxy(user)
    login = "us:p%40ss@" if user else ""
    async with serving() as server, listening(proxy) as port:
        target = int(server.addresses[0].rpartition(":")[2])
        await echoes(f"ws://chat.example:{target}/echo", proxy=f"socks5h://{login}127.0.0.1:{port}")
        await echoes(f"ws://127.0.0.1:{target}/echo", proxy=f"socks5://{login}127.0.0.1:{port}")
        assert proxy.asked == [(3, "chat.example", target), (1, "127.0.0.1", target)]


@pytest.mark.parametrize(("reply", "temporary"), [(1, True), (2, False), (4, True), (5, True), (7, False)])
async def test_a_socks_proxy_that_refuses(reply: int, temporary: bool) -> None:
    async with listening(SocksProxy(reply=reply)) as port:
        with pytest.raises(ProxyFailed) as caught:
            await connect("ws://chat.example/", proxy=f"socks5h://127.0.0.1:{port}").__aenter__()
    assert (caught.value.status, caught.value.temporary) == (reply, temporary)


@pytest.mark.parametrize("answers", [(), (b"\x05\x00",), (b"\x05\x00", b"\x05\x00\x00")])
async def test_a_socks_proxy_that_hangs_up_is_an_os_error(answers: tuple[bytes, ...]) -> None:
    """As an HTTP proxy: it may have been restarted."""

    async def handle(stream: trio.SocketStream) -> None:
        for answer in answers:
            await stream.receive_some()
            await stream.send_all(answer)
        if len(answers) < 2:  # the last one is broken off
            await stream.receive_some()

    async with listening(handle) as port:
        with pytest.raises(ConnectionResetError, match="ended the connection before it answered"):
            await connect("ws://chat.example/", proxy=f"socks5h://127.0.0.1:{port}").__aenter__()


async def test_a_socks_proxy_that_knows_us_not() -> None:
    async with listening(SocksProxy(("us", "p@ss"))) as port:
        with pytest.raises(ProxyFailed) as caught:
            await connect("ws://chat.example/", proxy=f"socks5h://us:wrong@127.0.0.1:{port}").__aenter__()
    assert not caught.value.temporary


async def test_a_socks_proxy_whose_answer_is_no_text() -> None:
    async def handle(stream: trio.SocketStream) -> None:
        for answer in (b"\x05\x00", b"\x05\x00\x00\x03\x02\xff\xff\x00\x50"):
            await stream.receive_some()
            await stream.send_all(answer)

    async with listening(handle) as port:
        with pytest.raises(ProxyFailed, match="not SOCKS") as caught:
            await connect("ws://chat.example/", proxy=f"socks5h://127.0.0.1:{port}").__aenter__()
    assert not caught.value.temporary


async def test_a_socks_proxy_that_is_not_there_is_an_os_error() -> None:
    with pytest.raises(OSError):  # noqa: PT011
        await connect("ws://chat.example/", proxy="socks5://127.0.0.1:1").__aenter__()


async def test_socks_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "python_socks", None)
    with pytest.raises(ImportError, match=r"wsframe\[socks\]"):
        await connect("ws://chat.example/", proxy="socks5://127.0.0.1:1").__aenter__()
