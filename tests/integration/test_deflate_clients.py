"""Clients of other makers talk to a server that compresses, plain and over TLS, with each poller."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator

import pytest
import trio
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.trio.client import connect

import wsframe
from tests.integration.conftest import Served, Tls
from tests.integration.test_node_client import Play, node, play
from tests.patience import PATIENCE
from wsframe import Deflate
from wsframe.net.poller import PollerName

__all__ = ["node", "play"]


TEXTS = [f"message {number}: " + "the quick brown fox " * (number % 40) for number in range(120)]


class Relay(wsframe.Resource):
    """Sends each message back, then to everybody, then in frames; ``close`` is answered by closing."""

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        if message == "close":
            client.close(4001, "as you wish")
            return
        client.send_text(message)
        self.broadcast_text(message.upper())
        client.send_text(message, frame_size=1000)
        client.send_text(message, compress=False)
        client.send_text(message, key="key", compress=True)

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        client.send_binary(message)


class Echo(Relay):
    async def received_text(self, client: wsframe.Client, message: str) -> None:
        if message == "close":
            await super().received_text(client, message)
        else:
            client.send_text(message)


@pytest.fixture(params=[Deflate.shared(), Deflate.dedicated(), Deflate.dedicated(window_bits=9, mem_level=1)], ids=str)
def options(request: pytest.FixtureRequest) -> Deflate:
    chosen: Deflate = request.param
    return chosen


@pytest.fixture
async def served(poller: PollerName, tls: Tls | None, options: Deflate) -> AsyncIterator[Served]:
    registry = wsframe.Registry()
    registry.register("/relay", Relay(), wsframe.any_origin)
    registry.register("/echo", Echo(), wsframe.any_origin)
    context = tls.server if tls else None
    async with wsframe.open_server(registry, port=0, ssl_context=context, poller=poller, deflate=options) as server:
        yield Served(server.addresses[0], tls)


async def test_many_messages_come_back_as_they_were_sent(served: Served) -> None:
    noise = os.urandom(70_000)
    with trio.fail_after(PATIENCE):
        async with connect(f"{served.address}/relay", ssl=served.client_context, proxy=None) as connection:
            assert [extension.name for extension in connection.protocol.extensions] == ["permessage-deflate"]
            for message in TEXTS:
                await connection.send(message)
                expected = [message, message.upper(), message, message, message]
                assert [await connection.recv() for _ in expected] == expected
            for data in (b"", noise, bytes(500_000), noise):
                await connection.send(data)
                assert await connection.recv() == data


async def test_clients_of_different_terms_hear_the_same_broadcast(served: Served) -> None:
    offers = [
        [ClientPerMessageDeflateFactory(server_max_window_bits=bits, server_no_context_takeover=fresh)]
        for bits in (None, 9, 12, 15)
        for fresh in (True, False)
    ]
    sender, heard, ready = "close to the sender " * 40, [0] * len(offers), trio.Event()

    async def listen(at: int) -> None:
        async with connect(
            f"{served.address}/relay", ssl=served.client_context, proxy=None, compression=None, extensions=offers[at]
        ) as connection:
            assert connection.protocol.extensions
            await connection.send(f"I am {at}")
            wanted = [f"{sender} {number}".upper() for number in range(20)]
            while wanted:
                message = await connection.recv()
                if message == f"I am {at}":
                    heard[at] += 1
                    if all(heard):
                        ready.set()
                elif message == wanted[0]:
                    wanted.pop(0)
                else:
                    assert str(message).startswith("I AM ")

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for at in range(len(offers)):
                nursery.start_soon(listen, at)
            await ready.wait()
            async with connect(f"{served.address}/relay", ssl=served.client_context, proxy=None) as connection:
                for number in range(20):
                    await connection.send(f"{sender} {number}")
                    for _ in range(5):
                        await connection.recv()


async def test_the_ws_package_of_node(play: Play) -> None:
    steps = [{"send": "text", "data": message} for message in TEXTS[:40]]
    raw = base64.b64encode(bytes(range(256)) * 300).decode()
    steps += [{"send": "binary", "base64": raw}, {"send": "text", "data": "close"}]
    opened, *events = await play(*steps, perMessageDeflate={"threshold": 0})
    assert "permessage-deflate" in opened["extensions"]
    assert events == [
        *({"event": "text", "data": message} for message in TEXTS[:40]),
        {"event": "binary", "base64": raw},
        {"event": "close", "code": 4001, "reason": "as you wish"},
    ]
