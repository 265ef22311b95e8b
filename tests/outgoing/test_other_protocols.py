"""Opening a connection to a server that speaks something else than the URL says names the cause."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trustme

import wsframe
from tests.patience import PATIENCE
from wsframe import HandshakeFailed

BOUND = PATIENCE


@asynccontextmanager
async def answering(answer: bytes, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Run a server that answers the first bytes of each connection so; yield its port."""

    async def serve(stream: trio.abc.Stream) -> None:
        if context is not None:
            stream = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        async with stream:
            await stream.receive_some(65536)
            await stream.send_all(answer)
            async for _ in stream:
                pass

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def failure_of(url: str, ssl_context: ssl.SSLContext | None = None) -> str:
    with pytest.raises((HandshakeFailed, ssl.SSLError)) as info, trio.fail_after(BOUND):
        async with wsframe.connect(url, ssl_context=ssl_context):
            pass
    return str(info.value)


async def test_wss_to_a_port_without_tls() -> None:
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert "is its URL ws:// in place of wss://?" in await failure_of(f"wss://127.0.0.1:{port}/")


async def test_ws_to_a_port_with_tls() -> None:
    async with answering(b"\x15\x03\x03\x00\x02\x02\x46") as port:
        assert await failure_of(f"ws://127.0.0.1:{port}/") == (
            "the server speaks TLS at this port: is its URL wss:// in place of ws://?"
        )


async def test_ws_to_a_port_of_http_2() -> None:
    async with answering(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18)) as port:
        assert "the server speaks HTTP/2" in await failure_of(f"ws://127.0.0.1:{port}/")


@pytest.mark.parametrize("offered", [["h2"], ["h2", "http/1.1"]])
async def test_h2_agreed_on_by_alpn(offered: list[str]) -> None:
    authority = trustme.CA()
    theirs, ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    authority.configure_trust(ours)
    theirs.set_alpn_protocols(["h2"])
    ours.set_alpn_protocols(offered)
    async with answering(b"", theirs) as port:
        told = await failure_of(f"wss://127.0.0.1:{port}/", ssl_context=ours)
        assert "client and server agreed on 'h2' by ALPN" in told
        assert "set_alpn_protocols(['http/1.1'])" in told
