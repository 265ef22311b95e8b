"""A refusal is closed in order: the server, or the proxy, sees the end of TCP and never a reset."""

from __future__ import annotations

import pytest
import trio

from tests.certificates import Contexts, make_contexts
from tests.outgoing.places import head_of, listening
from tests.wire import BOUND
from wsframe import HandshakeFailed, HandshakeRejected, ProxyFailed, connect


@pytest.fixture(scope="module")
def tls() -> Contexts:
    return make_contexts("chat.example")


class Ends:
    """The bytes that a server read after its answer; empty for the end."""

    def __init__(self) -> None:
        self._put, self._get = trio.open_memory_channel[bytes](9)

    def note(self, data: bytes | bytearray) -> None:
        self._put.send_nowait(bytes(data))

    async def seen(self, count: int = 1) -> list[bytes]:
        with trio.fail_after(BOUND):
            return [await self._get.receive() for _ in range(count)]


REFUSALS = [
    b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 6\r\n\r\nlog in",
    b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    b"HTTP/1.1 204 Nothing\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ws://127.0.0.1:1/\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ftp://127.0.0.1/\r\n\r\n",
    b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
    b"SSH-2.0\r\n\r\n",
]


@pytest.mark.parametrize("more", [b"", b"and more " * 500])
@pytest.mark.parametrize("answer", REFUSALS)
async def test_after_an_answer_the_server_sees_the_end_and_no_reset(answer: bytes, more: bytes) -> None:
    """Also where it has sent more than its answer, which lies unread."""
    ends = Ends()

    async def refuse(stream: trio.SocketStream) -> None:
        await head_of(stream)
        await stream.send_all(answer + more)
        ends.note(await stream.receive_some())
        await stream.send_all(b"bye")
        ends.note(await stream.receive_some())

    async with listening(refuse) as port:
        with pytest.raises((HandshakeFailed, OSError)):
            await connect(f"ws://127.0.0.1:{port}/").__aenter__()
        assert await ends.seen(2) == [b"", b""]


async def test_a_server_that_ends_its_answer_by_ending_tcp_sees_no_reset() -> None:
    ends = Ends()

    async def refuse(stream: trio.SocketStream) -> None:
        await head_of(stream)
        await stream.send_all(b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\nlog in")
        await stream.send_eof()
        ends.note(await stream.receive_some())

    async with listening(refuse) as port:
        with pytest.raises(HandshakeRejected, match="401: log in"):
            await connect(f"ws://127.0.0.1:{port}/").__aenter__()
        assert await ends.seen() == [b""]


async def test_a_tls_server_that_refuses_sees_the_end_of_tls(tls: Contexts) -> None:
    theirs, ours = tls
    ends = Ends()

    async def refuse(stream: trio.SocketStream) -> None:
        secure = trio.SSLStream(stream, theirs, server_side=True)
        await head_of(secure)
        await secure.send_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        ends.note(bytes(await secure.receive_some()))  # an end without close_notify raises

    async with listening(refuse) as port:
        with pytest.raises(HandshakeRejected):
            await connect(f"wss://127.0.0.1:{port}/", ssl_context=ours).__aenter__()
        assert await ends.seen() == [b""]


@pytest.mark.parametrize("rest", [b"", b"x" * 65536])
async def test_a_server_that_does_not_end_after_its_refusal_is_left(rest: bytes) -> None:
    """It says nothing, or never stops: neither keeps us."""

    async def go_on(stream: trio.SocketStream) -> None:
        await head_of(stream)
        await stream.send_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        while rest:
            await stream.send_all(rest)
        await trio.sleep_forever()

    async with listening(go_on) as port:
        with trio.fail_after(BOUND), pytest.raises(HandshakeRejected):
            await connect(f"ws://127.0.0.1:{port}/").__aenter__()


async def test_a_proxy_that_refuses_sees_the_end_and_no_reset() -> None:
    ends = Ends()

    async def refuse(stream: trio.SocketStream) -> None:
        await head_of(stream)
        await stream.send_all(b"HTTP/1.1 407 No\r\nContent-Length: 9\r\n\r\nwho\r\nare u")
        ends.note(await stream.receive_some())

    async with listening(refuse) as port:
        with pytest.raises(ProxyFailed, match="user:password@"):
            await connect("ws://chat.example/", proxy=f"http://127.0.0.1:{port}").__aenter__()
        assert await ends.seen() == [b""]
