"""Redirects, proxies, and servers that lie, drip or say nothing."""

from __future__ import annotations

from base64 import b64encode

import pytest
import trio

from tests.certificates import Contexts, make_contexts
from tests.outgoing.places import Handler, HttpProxy, Script, SocksProxy, head_of, listening, serving, upgrading
from wsframe import (
    HandshakeFailed,
    HandshakeRejected,
    Opening,
    OpeningTimeout,
    ProxyFailed,
    connect,
)


def server(script: Script, *, seen: list[bytes] | None = None) -> Handler:
    """Make a handler that answers the head by script, and reads on until the client goes."""

    async def handle(stream: trio.SocketStream) -> None:
        head = await head_of(stream)
        if seen is not None:
            seen.append(head)
        await stream.send_all(script(head))
        async for _ in stream:
            pass

    return handle


def redirecting(location: str, status: int = 302) -> Script:
    return lambda _: f"HTTP/1.1 {status} Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


async def test_frames_behind_the_101_are_received() -> None:
    async with (
        listening(server(upgrading(tail=b"\x81\x02hi\x88\x00"))) as port,
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
    async with listening(server(script)) as port:
        with pytest.raises(HandshakeFailed, match=reason):
            await connect(f"ws://127.0.0.1:{port}/").__aenter__()


async def test_a_server_that_hangs_up_is_an_os_error() -> None:
    async def handle(stream: trio.SocketStream) -> None:
        await head_of(stream)

    async with listening(handle) as port:
        with pytest.raises(ConnectionResetError):
            await connect(f"ws://127.0.0.1:{port}/").__aenter__()


async def test_a_server_that_says_nothing_is_given_up() -> None:
    async with listening(server(lambda _: b"")) as port:
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
    script = server(lambda _: b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nso far")
    async with listening(script) as port:
        with pytest.raises(HandshakeRejected) as caught:
            await connect(f"ws://127.0.0.1:{port}/", opening=Opening(handshake=0.2)).__aenter__()
    assert (caught.value.status, caught.value.body) == (503, b"so far")


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


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed(status: int) -> None:
    async with serving() as target:
        address = target.addresses[0].replace("ws", "http")
        async with (
            listening(server(redirecting(f"{address}/echo", status))) as port,
            connect(f"ws://127.0.0.1:{port}/") as ws,
        ):
            assert ws.url == f"{target.addresses[0]}/echo"
            await ws.send("x")
            assert await ws.receive() == "x"


@pytest.mark.parametrize("most", [0, 1, 5])
async def test_redirects_in_a_circle_end(most: int) -> None:
    seen: list[bytes] = []
    async with listening(server(redirecting("/again"), seen=seen)) as port:
        with pytest.raises(HandshakeRejected) as caught:
            await connect(f"ws://127.0.0.1:{port}/", opening=Opening(max_redirects=most)).__aenter__()
    assert caught.value.status == 302
    assert len(seen) == most + 1


@pytest.mark.parametrize("answer", [b"HTTP/1.1 302 Found\r\n\r\n", b"HTTP/1.1 300 Choose\r\nLocation: /x\r\n\r\n"])
async def test_what_leads_nowhere_is_a_refusal(answer: bytes) -> None:
    async def hang_up(stream: trio.SocketStream) -> None:
        await head_of(stream)
        await stream.send_all(answer)

    async with listening(hang_up) as port:
        with pytest.raises(HandshakeRejected):
            await connect(f"ws://127.0.0.1:{port}/").__aenter__()


SECRETS = {"Authorization": "Bearer secret", "Cookie": "secret=1", "X-Kept": "yes"}


async def test_credentials_do_not_go_to_another_origin() -> None:
    first: list[bytes] = []
    second: list[bytes] = []
    async with listening(server(upgrading(), seen=second)) as there:
        redirect = server(redirecting(f"ws://127.0.0.1:{there}/"), seen=first)
        async with listening(redirect) as here, connect(f"ws://127.0.0.1:{here}/", headers=SECRETS) as ws:
            ws.abort()
        async with listening(redirect) as here, connect(f"ws://user:secret@127.0.0.1:{here}/") as ws:
            ws.abort()
    assert b"Bearer secret" in first[0]
    assert b"Authorization: Basic" in first[1]
    for head in second:
        assert b"secret" not in head
        assert b"uthorization" not in head
        assert b"\r\nHost: 127.0.0.1:%d\r\n" % there in head
    assert b"X-Kept: yes" in second[0]


async def test_credentials_stay_with_the_same_origin() -> None:
    seen: list[bytes] = []

    def script(head: bytes) -> bytes:
        return upgrading()(head) if head.startswith(b"GET /there ") else redirecting("/there")(head)

    async with listening(server(script, seen=seen)) as port:
        for url, options in [("ws://user:secret@127.0.0.1", {}), ("ws://127.0.0.1", {"headers": SECRETS})]:
            async with connect(f"{url}:{port}/", **options) as ws:  # type: ignore[arg-type]
                ws.abort()
    assert len(seen) == 4
    assert all(b"Authorization: " in head for head in seen)
    assert all(b"Cookie: secret=1" in head for head in seen[2:])


async def test_a_redirect_never_leaves_tls(tls: Contexts) -> None:
    theirs, ours = tls

    async def handle(stream: trio.SocketStream) -> None:
        secure = trio.SSLStream(stream, theirs, server_side=True)
        await head_of(secure)
        await secure.send_all(redirecting("ws://127.0.0.1/")(b""))

    async with listening(handle) as port:
        with pytest.raises(HandshakeFailed, match="wss to ws"):
            await connect(f"wss://127.0.0.1:{port}/", ssl_context=ours).__aenter__()


async def test_a_redirect_does_not_lead_away_from_a_unix_socket(tmp_path: object) -> None:
    path = f"{tmp_path}/socket"
    sock = trio.socket.socket(trio.socket.AF_UNIX)
    await sock.bind(path)
    sock.listen()

    locations = ["/same", "ws://127.0.0.1/"]

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await head_of(stream)
            await stream.send_all(redirecting(locations.pop(0))(b""))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [trio.SocketListener(sock)])
        with pytest.raises(HandshakeRejected):
            await connect("ws://chat.example/", unix=path).__aenter__()
        assert locations == []
        nursery.cancel_scope.cancel()


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
                    async for octets in other:
                        await secure.send_all(octets)
                    await stream.aclose()

                relays.start_soon(back)
                async for octets in secure:
                    await other.send_all(octets)

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
    async with listening(server(lambda _: answer)) as port:
        with pytest.raises(ProxyFailed, match=reason) as caught:
            await connect("ws://chat.example/", proxy=f"http://us:secret@127.0.0.1:{port}").__aenter__()
    assert (caught.value.status, caught.value.temporary) == (status, temporary)
    assert "secret" not in str(caught.value)


async def test_a_proxy_that_hangs_up_is_an_os_error() -> None:
    async def hang_up(stream: trio.SocketStream) -> None:
        await head_of(stream)

    async with listening(hang_up) as port:
        with pytest.raises(ConnectionResetError, match="proxy"):
            await connect("ws://chat.example/", proxy=f"http://127.0.0.1:{port}").__aenter__()


async def test_a_proxy_that_says_nothing_is_given_up() -> None:
    async with listening(server(lambda _: b"")) as port:
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
