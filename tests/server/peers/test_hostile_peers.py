"""Hostile connections to the peer port, and servers that answer as they like: each costs itself alone."""

from __future__ import annotations

import secrets
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio

from tests.patience import PATIENCE
from tests.server.peer_servers import Nodes, dial, header, nodes, read
from tests.server.worker_rooms import head
from wsframe.net.client_facts import MOST_FACTS
from wsframe.net.proxy_protocol import SIGNATURE
from wsframe.server.peers import dialing, peer_port, splice
from wsframe.server.peers.peer_port import MINE

CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300)
V2 = SIGNATURE + b"\x21\x11"
REFUSED = {
    "garbage": secrets.token_bytes(1000),
    "zeros": bytes(1000),
    "HTTP": head("/room/red"),
    "TLS": CLIENT_HELLO,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "PROXY version 1": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n",
    "a header without a seal": V2 + struct.pack("!H", 12) + bytes(12),
    "an empty header": V2 + bytes(2),
    "a local header": SIGNATURE + b"\x20\x00\x00\x00",
    "a header that is too long": V2 + b"\xff\xff",
    "a seal of zeros": V2 + struct.pack("!H", 47) + bytes(12) + b"\xe4\x00\x20" + bytes(32),
    "thousands of checksums": V2 + struct.pack("!H", 12 + 7 * 9000 + 35) + bytes(12) + 9000 * b"\x03\x00\x04abcd"
    + b"\xe4\x00\x20" + bytes(32),
    "thousands of empty values": V2 + struct.pack("!H", 12 + 3 * 21000 + 35) + bytes(12) + 21000 * b"\xe0\x00\x00"
    + b"\xe4\x00\x20" + bytes(32),
}  # fmt: skip
HELD = {
    "nothing": b"",
    "one byte": SIGNATURE[:1],
    "half a signature": SIGNATURE[:6],
    "no length": V2 + b"\x00",
    "half of the longest header": V2 + struct.pack("!H", MOST_FACTS - 16) + bytes(30_000),
}


async def test_hostile_connections_cost_themselves_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(peer_port, "WITHIN", PATIENCE)
    async with nodes() as service, AsyncExitStack() as stack:
        port = service.peering("a").port
        address = port._place.sock.getsockname()[:2]
        for data in 5 * tuple(HELD.values()):
            stream = await stack.enter_async_context(await trio.open_tcp_stream(*address))
            await stream.send_all(data)
        for name, data in REFUSED.items():
            assert await dial(service, data) == b"reset", name
        assert await dial(service, header(service)) == MINE
        while len(port._unproved) != 5 * len(HELD):  # noqa: ASYNC110
            await trio.sleep(0.002)
        await stack.aclose()
        while port._unproved:  # noqa: ASYNC110
            await trio.sleep(0.002)
        assert not service.local("a").draining
        assert not [one for one in caplog.records if one.levelname == "ERROR"]
        lines = [one.getMessage() for one in caplog.records if "refused at the peer port" in one.getMessage()]
        assert all(len(line) < 250 and line.isprintable() for line in lines)


async def test_two_servers_that_take_each_other_for_the_owner_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splice, "REFUSED_FOR", 0.0)
    async with nodes() as service:
        names = {name: service.local(name).topics.interest.node for name in ("a", "b")}
        for one, other in (("a", "b"), ("b", "a")):
            owner = service.local(one).owner
            assert owner is not None

            async def look_again(partition: int, node: str = names[other]) -> str:
                return node

            monkeypatch.setattr(owner.owned, "holder_of", lambda partition, node=names[other]: node)
            monkeypatch.setattr(owner.owned, "look_again", look_again)
        for name in ("a", "b"):
            async with service.raw(name) as stream:
                assert b"its owner does not take it" in await read(stream, b"never")
        assert service.peering("a").port.taken == service.peering("b").port.taken == 0
        for name in ("a", "b"):
            assert (len(service.peering(name).splices.dialer), service.peering(name).splices._to) == (0, {})


@asynccontextmanager
async def liar(service: Nodes, monkeypatch: pytest.MonkeyPatch, *answer: bytes) -> AsyncIterator[list[bytes]]:
    """Have a server that answers as it likes pass for the owner of all; yield the headers that came."""
    heard: list[bytes] = []

    async def lie(stream: trio.SocketStream) -> None:
        async with stream:
            heard.append(await stream.receive_some(10_000))
            await stream.send_all(answer[0])
            for one in answer[1:]:
                heard.append(await stream.receive_some(10_000))
                await stream.send_all(one)

    owner = service.local("b").owner
    assert owner is not None
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    node = f"127.0.0.1:{listener.socket.getsockname()[1]}/0/liar"
    service.peering("b")._keys._hear(bytes(34) + node.encode())

    async def look_again(partition: int) -> str:
        return node

    with monkeypatch.context() as patch:
        patch.setattr(owner.owned, "holder_of", lambda partition: node)
        patch.setattr(owner.owned, "look_again", look_again)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, lie, [listener])
            yield heard
            nursery.cancel_scope.cancel()


async def test_a_server_that_takes_everybody_and_answers_junk_costs_its_clients_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with nodes() as service:
        async with liar(service, monkeypatch, MINE, b"\x00junk\xff" * 100), service.raw("b") as stream:
            assert b"junk" in await read(stream, b"\xffEND")
        await service.until("b", 0)
        async with service.raw("b") as stream:
            assert b"a 127.0.0.1" in await read(stream, b"False")


@pytest.mark.parametrize("answer", [b"\x00", b"\x07", b"HTTP/1.1 200 OK\r\n\r\n", CLIENT_HELLO])
async def test_a_server_that_answers_anything_else_is_asked_twice(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splice, "REFUSED_FOR", 0.0)
    async with nodes() as service:
        async with liar(service, monkeypatch, answer) as heard, service.raw("b") as stream:
            assert b"its owner does not take it" in await read(stream, b"never")
            assert len(heard) == 2
        assert service.peering("b").splices.spliced == 0


async def test_a_server_that_is_busy_for_ever_is_asked_until_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialing, "AGAIN", (0.001, 0.002))
    async with nodes() as service:
        async with liar(service, monkeypatch, peer_port.BUSY) as heard, service.raw("b") as stream:
            while len(heard) < 5:  # noqa: ASYNC110
                await trio.sleep(0.002)
            (newcomer,) = service.local("b").admission.pending.away
            newcomer.scope.deadline = trio.current_time()
            await read(stream, b"never")
        assert len(service.peering("b").splices.dialer) == 0
