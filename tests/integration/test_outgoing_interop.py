"""Our client against the server of ``websockets``, plain and over TLS, with and without compression."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from websockets.exceptions import ConnectionClosed as TheirConnectionClosed
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

import wsframe
from tests.integration.conftest import Tls
from tests.patience import PATIENCE
from wsframe import ConnectionClosed, Deflate, Limits, connect


def echo(connection: ServerConnection) -> None:
    """Echo messages; some words have a meaning of their own."""
    for message in connection:
        if message == "close":
            connection.close(4001, "as you wish")
        elif message == "ping":
            waiter = connection.ping("there?")
            connection.send(f"pong: {waiter.wait(PATIENCE)}")
        elif message == "fragments":
            connection.send(["in ", "three ", "parts"])
        else:
            connection.send(message)


@contextmanager
def their_server(
    compression: str | None, context: ssl.SSLContext | None = None, subprotocols: tuple[str, ...] = ()
) -> Iterator[str]:
    """Serve in a thread; yield the address."""
    chosen = [Subprotocol(name) for name in subprotocols] or None
    with serve(
        echo, "127.0.0.1", 0, compression=compression, ssl=context, subprotocols=chosen, max_size=2**23
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        try:
            yield f"{'wss' if context else 'ws'}://127.0.0.1:{port}/"
        finally:
            server.shutdown()
            thread.join()


OFFERS = {"none": None, "shared": Deflate.shared(threshold=0), "dedicated": Deflate.dedicated(threshold=0)}


@pytest.mark.parametrize("compression", ["deflate", None])
@pytest.mark.parametrize("offer", sorted(OFFERS))
async def test_messages_go_both_ways(offer: str, compression: str | None) -> None:
    with their_server(compression, subprotocols=("chat",)) as address:
        async with connect(
            address, deflate=OFFERS[offer], subprotocols=["none", "chat"], limits=Limits(max_message=2**23)
        ) as ws:
            assert ws.subprotocol == "chat"
            assert bool(ws.extensions) is (OFFERS[offer] is not None and compression is not None)
            for message in ("", "hi", "äöü" * 20_000, b"\x00\xff" * 100_000, b"x" * 2**22):
                await ws.send(message)
                assert await ws.receive() == message
            await ws.send_text("split " * 100, frame_size=7)
            assert await ws.receive() == "split " * 100
            await ws.send("fragments")
            assert await ws.receive() == "in three parts"
    assert (ws.close_code, ws.closed_cleanly) == (1000, True)


async def test_over_tls(certificates: Tls) -> None:
    with their_server("deflate", certificates.server) as address:
        async with connect(address, ssl_context=certificates.client, deflate=Deflate.dedicated()) as ws:
            for message in ("hi", b"x" * 500_000):
                await ws.send(message)
                assert await ws.receive() == message
    assert ws.closed_cleanly


async def test_pings_go_both_ways() -> None:
    with their_server(None) as address:
        async with connect(address) as ws:
            assert await ws.ping() >= 0
            await ws.send("ping")
            assert await ws.receive() == "pong: True"


async def test_their_close_is_told() -> None:
    with their_server(None) as address:
        async with connect(address) as ws:
            await ws.send("close")
            with pytest.raises(ConnectionClosed) as caught:
                await ws.receive()
            assert caught.value.received == (4001, "as you wish")
            assert caught.value.sent == (4001, "")


async def test_our_close_is_told_to_them() -> None:
    told: list[TheirConnectionClosed] = []

    def wait(connection: ServerConnection) -> None:
        with pytest.raises(TheirConnectionClosed) as caught:
            connection.recv()
        told.append(caught.value)

    with serve(wait, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        async with connect(f"ws://127.0.0.1:{server.socket.getsockname()[1]}/") as ws:
            await ws.close(4002, "enough")
        server.shutdown()
        await trio.to_thread.run_sync(thread.join)
    (error,) = told
    assert error.rcvd is not None
    assert (error.rcvd.code, error.rcvd.reason, error.rcvd_then_sent) == (4002, "enough", True)


async def test_their_refusal_is_told() -> None:
    with serve(echo, "127.0.0.1", 0, process_request=lambda connection, _: connection.respond(401, "no\n")) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with pytest.raises(wsframe.HandshakeRejected) as caught:
            await connect(f"ws://127.0.0.1:{server.socket.getsockname()[1]}/").__aenter__()
        server.shutdown()
        await trio.to_thread.run_sync(thread.join)
    assert (caught.value.status, caught.value.body) == (401, b"no\n")
