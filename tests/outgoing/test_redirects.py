"""Redirects: where they lead, and the fields that go along."""

from __future__ import annotations

import pytest
import trio

from tests.certificates import Contexts, make_contexts
from tests.outgoing.places import Script, answering, head_of, listening, serving, upgrading
from wsframe import HandshakeFailed, HandshakeRejected, Opening, connect


@pytest.fixture(scope="module")
def tls() -> Contexts:
    return make_contexts("chat.example")


def redirecting(location: str, status: int = 302) -> Script:
    return lambda _: f"HTTP/1.1 {status} Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed(status: int) -> None:
    async with serving() as target:
        address = target.addresses[0].replace("ws", "http")
        async with (
            listening(answering(redirecting(f"{address}/echo", status))) as port,
            connect(f"ws://127.0.0.1:{port}/") as ws,
        ):
            assert ws.url == f"{target.addresses[0]}/echo"
            await ws.send("x")
            assert await ws.receive() == "x"


@pytest.mark.parametrize("most", [0, 1, 5])
async def test_redirects_in_a_circle_end(most: int) -> None:
    seen: list[bytes] = []
    async with listening(answering(redirecting("/again"), seen=seen)) as port:
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


SECRETS = {
    "Authorization": "Bearer secret", "Cookie": "secret=1", "Proxy-Authorization": "secret", "X-Api-Key": "secret",
    "User-Agent": "secret/1", "Origin": "https://secret.example", "Host": "secret.example",
}  # fmt: skip


async def test_nothing_goes_to_another_origin(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "wsframe")
    first: list[bytes] = []
    second: list[bytes] = []
    async with listening(answering(upgrading(), seen=second)) as there:
        redirect = answering(redirecting(f"ws://127.0.0.1:{there}/"), seen=first)
        for url, options in [
            ("ws://127.0.0.1", {"headers": SECRETS}),
            ("ws://user:secret@127.0.0.1", {"subprotocols": ["bearer", "secret"]}),
        ]:
            async with listening(redirect) as here, connect(f"{url}:{here}/?secret", **options) as ws:  # type: ignore[arg-type]
                ws.abort()
    assert b"Bearer secret" in first[0]
    assert b"Authorization: Basic" in first[1]
    assert b"Sec-WebSocket-Protocol: bearer, secret" in first[1]
    for head in second:
        assert b"secret" not in head
        assert not {b"authorization", b"cookie", b"origin", b"sec-websocket-protocol"} & names_in(head)
        assert b"\r\nHost: 127.0.0.1:%d\r\n" % there in head
    told = [record.getMessage() for record in caplog.records if "redirected" in record.getMessage()]
    assert "without authorization, cookie, host, origin, proxy-authorization, user-agent, x-api-key" in told[0]
    assert "without sec-websocket-protocol, user and password" in told[1]
    assert not any("secret=1" in line or "?secret" in line or "user:" in line for line in told)


def names_in(head: bytes) -> set[bytes]:
    return {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]}


async def test_what_is_named_goes_to_another_origin_and_to_no_other_field() -> None:
    second: list[bytes] = []
    async with listening(answering(upgrading(), seen=second)) as there:
        redirect = answering(redirecting(f"ws://127.0.0.1:{there}/"))
        async with (
            listening(redirect) as here,
            connect(
                f"ws://user:pass@127.0.0.1:{here}/",
                headers={"X-Kept": "yes", "Cookie": "secret=1"},
                subprotocols=["v2", "v1"],
                keep_on_redirect=["x-kept", "Sec-WebSocket-Protocol", "Authorization"],
            ) as ws,
        ):
            ws.abort()
    assert b"X-Kept: yes" in second[0]
    assert b"Sec-WebSocket-Protocol: v2, v1" in second[0]
    assert b"Authorization: Basic" in second[0]
    assert b"secret" not in second[0]


async def test_what_stayed_behind_does_not_come_back_with_a_redirect_to_the_first_origin() -> None:
    seen: list[bytes] = []
    back: list[str] = []

    def script(head: bytes) -> bytes:
        return upgrading()(head) if head.startswith(b"GET /there ") else redirecting(back[0])(head)

    async with (
        listening(answering(script, seen=seen)) as here,
        listening(answering(redirecting(f"ws://127.0.0.1:{here}/there"))) as between,
    ):
        back.append(f"ws://127.0.0.1:{between}/")
        async with connect(f"ws://us:secret@127.0.0.1:{here}/", headers={"X-Api-Key": "k"}) as ws:
            ws.abort()
    assert b"x-api-key" in names_in(seen[0])
    assert not {b"x-api-key", b"authorization"} & names_in(seen[1])


@pytest.mark.parametrize("status", [307, 308])
async def test_a_relative_location_is_resolved(status: int) -> None:
    seen: list[bytes] = []

    def script(head: bytes) -> bytes:
        return upgrading()(head) if head.startswith(b"GET /a/c?d ") else redirecting("../c?d", status)(head)

    async with (
        listening(answering(script, seen=seen)) as port,
        connect(f"ws://127.0.0.1:{port}/a/b/x", headers={"X-Api-Key": "k"}) as ws,
    ):
        ws.abort()
    assert all(b"x-api-key" in names_in(head) for head in seen)


async def test_credentials_stay_with_the_same_origin() -> None:
    seen: list[bytes] = []

    def script(head: bytes) -> bytes:
        return upgrading()(head) if head.startswith(b"GET /there ") else redirecting("/there")(head)

    async with listening(answering(script, seen=seen)) as port:
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
