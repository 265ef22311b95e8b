"""Newcomers with TLS whose resource lives in another worker: they and their owner notice nothing of the pump."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trustme

from tests.certificates import make_contexts
from tests.server.peer_servers import end_of, read, stream_to
from tests.server.worker_rooms import head, register, room_of
from tests.workers.services import Service, opened
from wsframe import (
    Capacity,
    Client,
    ConnectionClosed,
    Registry,
    Request,
    Resource,
    Response,
    ServeOptions,
    Timeouts,
    any_origin,
    connect,
)
from wsframe.net.proxy_protocol import encode_proxy_v2
from wsframe.net.pump import AT_ONCE
from wsframe.net.socket_options import LINGER_NONE
from wsframe.server.passing.carried import Carried
from wsframe.workers.door import Passed, give
from wsframe.workers.partitions import partition_of

CONTEXTS = make_contexts()
"""Of the servers, and of their clients."""
SERVER, CLIENT = CONTEXTS


class Facts(Resource):
    """Tells a client the facts about it, and keeps its end."""

    scope = "path"

    def __init__(self, ends: list[tuple[str, int | None]]) -> None:
        self.ends = ends

    async def client_connected(self, client: Client) -> None:
        request = client.request
        name = dict(pair[0] for pair in (request.peer_certificate or {}).get("subject", ()))
        der = len(request.peer_certificate_der or b"")
        client.send_text(f"{request.host} {request.port} {request.secure} {name.get('organizationName')} {der > 100}")

    async def received_text(self, client: Client, message: str) -> None:
        if message == "abort":
            client.abort()
        elif message == "close":
            client.close(4000, "enough")
        elif message == "flood":
            for _ in range(10):
                client.send_binary(bytes(65536))
        else:
            client.send_text(message)

    async def disconnected(self, client: Client) -> None:
        self.ends.append((client.close_reason, client.close_code))


class Program:
    """Registers facts in each worker, besides the others, and keeps the ends of all."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, int | None]] = []

    def __call__(self, registry: Registry, slot: int) -> None:
        register(registry, slot)
        registry.register_factory("/facts/{name}", lambda _: Facts(self.ends), any_origin, scope="path")

        async def address(request: Request) -> Response:
            return Response(f"{request.host} {request.secure} worker {slot}\n")

        registry.route("/address", address)


def facts_in(slot: int, count: int = 2) -> str:
    """Return a path of facts that live in a worker."""
    paths = (f"/facts/{number}" for number in range(10_000))
    return next(path for path in paths if partition_of(f"/facts/{{name}}\n{path}", "path") % count == slot)


@asynccontextmanager
async def raw(
    service: Service, slot: int, context: ssl.SSLContext = CLIENT, receives: int = 0
) -> AsyncIterator[trio.SSLStream[trio.SocketStream]]:
    """Come to a worker with TLS, without a client's manners; with a receive buffer of so many bytes, if given."""
    stream = await stream_to(service.url(slot, ""), receives)
    secure = trio.SSLStream(stream, context, server_hostname="127.0.0.1", https_compatible=True)
    try:
        await secure.do_handshake()
        yield secure
    finally:
        await trio.aclose_forcefully(secure)


async def until_carried(service: Service, slot: int, count: int) -> None:
    loop = service.engines[slot].admission.carried.loop
    while len(loop) != count:  # noqa: ASYNC110
        await trio.sleep(0.002)


async def test_every_worker_takes_tls_to_where_a_resource_lives() -> None:
    async with opened(3, Program(), ssl_context=SERVER) as service:
        for slot in range(3):
            for home, path in [(0, "/lobby"), (slot, "/feed"), *((n, room_of(n, 3)) for n in range(3))]:
                async with connect(service.url(slot, path), ssl_context=CLIENT) as websocket:
                    assert await websocket.receive() == f"worker {home}"
                    for text in ("a", "b" * 100_000):
                        await websocket.send_text(text)
                        assert await websocket.receive() == text
                    assert len(service.engines[slot].admission.carried.loop) == int(slot != home)
            await until_carried(service, slot, 0)


async def test_clients_of_all_workers_meet_in_one_room() -> None:
    class Chat(Resource):
        async def received_text(self, client: Client, message: str) -> None:
            self.broadcast_text(message)

    def chat(registry: Registry, slot: int) -> None:
        registry.register("/chat", Chat(), any_origin)

    async with (
        opened(2, chat, ssl_context=SERVER) as service,
        connect(service.url(0, "/chat"), ssl_context=CLIENT) as one,
        connect(service.url(1, "/chat"), ssl_context=CLIENT) as other,
    ):
        for sender in (one, other):
            await sender.send_text("hello")
            assert [await one.receive(), await other.receive()] == ["hello"] * 2


async def test_the_owner_knows_the_client_and_its_certificate() -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_OPTIONAL
    client = ssl.create_default_context()
    authority.configure_trust(client)
    async with opened(2, Program(), ssl_context=server) as service:
        for slot in (0, 1):
            async with raw(service, slot, client) as stream:
                await stream.send_all(head(facts_in(1)))
                port = stream.transport_stream.socket.getsockname()[1]
                assert b"127.0.0.1 %d True None False" % port in await read(stream, b"False")
        authority.issue_cert("client.example", organization_name="Members").configure_cert(client)
        for slot in (0, 1):
            async with raw(service, slot, client) as stream:
                await stream.send_all(head(facts_in(1)))
                assert b"True Members True" in await read(stream, b"s True")


async def test_a_proxy_in_front_of_tls_is_heard() -> None:
    proxied = {"proxy_protocol": "required", "trusted_proxies": ["127.0.0.1"]}
    async with opened(2, Program(), ssl_context=SERVER, **proxied) as service:  # type: ignore[arg-type]
        host, port = service.url(0, "").removeprefix("wss://").split(":")
        stream = await trio.open_tcp_stream(host, int(port))
        await stream.send_all(encode_proxy_v2(("203.0.113.9", 5555)))
        async with trio.SSLStream(stream, CLIENT, server_hostname=host, https_compatible=True) as secure:
            await secure.send_all(head(facts_in(1)))
            assert b"203.0.113.9 5555 True" in await read(secure, b"False")
            await trio.aclose_forcefully(secure)


async def test_pages_and_refusals_come_through() -> None:
    async with opened(2, Program(), ssl_context=SERVER) as service:
        async with raw(service, 1) as stream:
            await stream.send_all(b"GET /address HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await read(stream, b"never")).endswith(b"127.0.0.1 True worker 0\nEND")
        async with raw(service, 1) as stream:
            await stream.send_all(head("/lobby", "Sec-WebSocket-Protocol: ,").replace(b": 13", b": 12"))
            assert b" 426 " in await read(stream, b"never")
        async with raw(service, 0) as stream:
            await stream.send_all(head("/nowhere"))
            assert b" 404 " in await read(stream, b"never")
        for slot in (0, 1):
            await until_carried(service, slot, 0)


async def test_a_head_in_parts_and_frames_behind_it_arrive() -> None:
    frame = b"\x81\x85\0\0\0\0hello"
    async with opened(2, Program(), ssl_context=SERVER) as service, raw(service, 0) as stream:
        data = head(room_of(1, 2)) + frame
        for part in (data[:5], data[5:60], data[60:]):
            await stream.send_all(part)
            await trio.sleep(0.005)
        assert b"worker 1" in await read(stream, b"hello")


async def test_plain_http_and_silence_are_answered_as_ever() -> None:
    async with opened(2, Program(), ssl_context=SERVER, timeouts=Timeouts(handshake=1)) as service:
        host, port = service.url(0, "").removeprefix("wss://").split(":")
        stream = await trio.open_tcp_stream(host, int(port))
        await stream.send_all(head("/lobby"))
        assert b"this port speaks https" in await stream.receive_some(4096)
        await stream.aclose()
        async with raw(service, 0) as silent:
            assert b" 408 " in await read(silent, b"never")


async def test_a_door_without_room_is_a_503_by_tls() -> None:
    async with opened(2, Program(), ssl_context=SERVER, timeouts=Timeouts(handshake=1)) as service:
        taker = service.engines[1].admission.pending
        with trio.move_on_after(60), pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(taker), "has_room", lambda self: self is not taker)
            left, right = socket.socketpair()
            with left, right:
                while give(service.doors[1][0], left, Passed(0.0, 0, 0)):
                    pass
            async with raw(service, 0) as stream:
                await stream.send_all(head(room_of(1, 2)))
                assert b" 503 " in await read(stream, b"never")


async def test_a_worker_carries_so_many_and_refuses_more() -> None:
    async with opened(2, Program(), ssl_context=SERVER) as service:
        service.engines[0].admission.carried._most = 1
        async with raw(service, 0) as one, raw(service, 0) as two:
            await one.send_all(head(facts_in(1)))
            await read(one, b"False")
            await two.send_all(head(facts_in(1)))
            assert b" 503 " in await read(two, b"never")
        assert Carried(ServeOptions(capacity=Capacity(max_clients=7, max_pending_handshakes=3)))._most == 10
        assert not Carried(ServeOptions(capacity=Capacity(max_clients=None))).full


# The six rules, end to end


async def test_a_stalled_client_costs_the_others_nothing() -> None:
    program = Program()
    async with (
        opened(2, program, ssl_context=SERVER) as service,
        raw(service, 0, receives=4096) as stalled,
        connect(service.url(0, facts_in(1)), ssl_context=CLIENT) as other,
    ):
        await other.receive()
        await stalled.send_all(head(facts_in(1)))
        await read(stalled, b"False")
        await stalled.send_all(b"\x81\x85\0\0\0\0flood")
        loop = service.engines[0].admission.carried.loop
        while loop.held == 0:  # noqa: ASYNC110
            await trio.sleep(0.002)
        for number in range(50):
            await other.send_text(str(number))
            assert await other.receive() == str(number)
        assert loop.held <= 2 * AT_ONCE


async def test_a_client_that_takes_nothing_is_a_write_stall_at_both_sides() -> None:
    program = Program()
    async with (
        opened(2, program, ssl_context=SERVER, timeouts=Timeouts(write_stall=1)) as service,
        raw(service, 0, receives=4096) as stalled,
    ):
        await stalled.send_all(head(facts_in(1)))
        await read(stalled, b"False")
        await stalled.send_all(b"\x81\x85\0\0\0\0flood")
        while not program.ends:  # noqa: ASYNC110
            await trio.sleep(0.01)
        assert program.ends[0][1] == 1006
        await until_carried(service, 0, 0)


async def test_a_close_of_the_resource_arrives_with_its_code() -> None:
    program = Program()
    async with opened(2, program, ssl_context=SERVER) as service:
        async with raw(service, 0) as stream:
            await stream.send_all(head(facts_in(1)))
            await read(stream, b"False")
            await stream.send_all(b"\x81\x85\0\0\0\0close")
            assert b"\x88\x08\x0f\xa0enough" in await read(stream, b"enough")
            await stream.send_all(b"\x88\x82\0\0\0\0\x0f\xa0")
            assert await read(stream, b"never") == b"END"  # with close_notify: else trio raises
        assert program.ends == [("", 4000)]
        await until_carried(service, 0, 0)


async def test_a_close_of_the_client_is_answered() -> None:
    program = Program()
    async with opened(2, program, ssl_context=SERVER) as service:
        async with raw(service, 0) as stream:
            await stream.send_all(head(facts_in(1)))
            await read(stream, b"False")
            await stream.send_all(b"\x88\x82\0\0\0\0\x03\xe8")
            assert await read(stream, b"never") == b"\x88\x02\x03\xe8END"
        await until_carried(service, 0, 0)
        assert program.ends == [("", 1000)]


async def test_an_abort_of_the_resource_is_a_reset() -> None:
    async with opened(2, Program(), ssl_context=SERVER) as service:
        async with raw(service, 0) as stream:
            await stream.send_all(head(facts_in(1)))
            await read(stream, b"False")
            await stream.send_all(b"\x81\x85\0\0\0\0abort")
            with pytest.raises(trio.BrokenResourceError) as found:
                await read(stream, b"never")
            cause = found.value.__cause__
            assert isinstance(cause, OSError)
            assert cause.errno == errno.ECONNRESET
        await until_carried(service, 0, 0)


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "end of TCP"])
async def test_the_loss_of_a_client_is_1006(reset: bool) -> None:
    program = Program()
    async with opened(2, program, ssl_context=SERVER) as service:
        async with raw(service, 0) as stream:
            await stream.send_all(head(facts_in(1)))
            await read(stream, b"False")
            await stream.send_all(b"\x81\x85\0\0\0\0hello")
            if reset:
                sock = stream.transport_stream.socket
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
        await until_carried(service, 0, 0)
        while not program.ends:  # noqa: ASYNC110
            await trio.sleep(0.002)
        assert program.ends[0][1] == 1006


async def test_a_drain_tells_the_clients_of_a_pump_1001() -> None:
    program = Program()
    async with opened(2, program, ssl_context=SERVER) as service:
        with suppress(ConnectionClosed):
            async with connect(service.url(0, facts_in(1)), ssl_context=CLIENT) as websocket:
                await websocket.receive()
                for engine in service.engines.values():
                    engine.drain()
                assert await end_of(websocket) == 1001
    assert program.ends[0][1] == 1001


async def test_a_worker_that_leaves_tells_the_clients_it_carries_1012() -> None:
    async with opened(2, Program(), ssl_context=SERVER) as service:
        with suppress(ConnectionClosed):
            async with connect(service.url(0, facts_in(1)), ssl_context=CLIENT) as websocket:
                await websocket.receive()
                await service.engines[0].admission.carried.depart(0, 1012, "service restart", all_of_them=True)
                assert await end_of(websocket) == 1012
        await until_carried(service, 0, 0)
