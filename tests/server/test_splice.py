"""Newcomers whose resource lives on another machine: they are carried there once, and notice nothing of it."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
import trio

import wsframe
from tests.certificates import make_contexts
from tests.server.test_passing import head
from wsframe import Client, ConnectionClosed, Registry, Request, Resource, Response, connect
from wsframe.backplane import MemoryBackplane, MemoryHub
from wsframe.net.client_facts import ClientFacts
from wsframe.net.peer_header import sealed
from wsframe.net.pump import AT_ONCE
from wsframe.net.socket_options import LINGER_NONE
from wsframe.server import peer_port, splice
from wsframe.server.engine import LocalEngine
from wsframe.server.newcomer import Newcomer
from wsframe.server.peer_port import MINE, NOT_MINE
from wsframe.server.peering import Peering

BOUND = 120.0
SERVER, CLIENT = make_contexts()


class Room(Resource):
    """Says where it lives and which clients have come."""

    scope = "path"

    def __init__(self, server: str, ends: list[int | None]) -> None:
        self.by = server
        self.ends = ends

    async def client_connected(self, client: Client) -> None:
        request = client.request
        client.send_text(f"{self.by} {request.host} {request.port} {request.secure}")

    async def received_text(self, client: Client, message: str) -> None:
        if message == "abort":
            client.abort()
        elif message == "flood":
            for _ in range(12):
                client.send_binary(bytes(65536))
        else:
            client.send_text(message)

    async def disconnected(self, client: Client) -> None:
        self.ends.append(client.close_code)


class Nodes:
    """Servers of one service, each with a peer port."""

    def __init__(self) -> None:
        self.servers: dict[str, wsframe.Server] = {}
        self.ends: list[int | None] = []

    def engine(self, name: str) -> LocalEngine:
        found = self.servers[name]._engine
        assert isinstance(found, LocalEngine)
        return found

    def peering(self, name: str) -> Peering:
        found = self.engine(name).peering
        assert found is not None
        return found

    def url(self, name: str, path: str = "/room/red") -> str:
        return self.servers[name].addresses[0] + path

    def partition(self, path: str = "/room/red") -> int:
        residence = self.engine("a").roster.whereabouts.named(path)
        assert residence is not None
        return residence.partition

    @asynccontextmanager
    async def raw(
        self, name: str, path: str = "/room/red", receives: int = 0, more: str = "Host: localhost"
    ) -> AsyncIterator[trio.SocketStream]:
        """Come to a server and be let in, without a client's manners."""
        host, port = self.servers[name].addresses[0].removeprefix("ws://").split(":")
        sock = trio.socket.socket()
        if receives:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        await sock.connect((host, int(port)))
        async with trio.SocketStream(sock) as stream:
            await stream.send_all(head(path).replace(b"Host: a", more.encode()))
            yield stream

    async def until(self, name: str, count: int) -> None:
        """Wait until a server carries so many connections."""
        while len(self.peering(name).splices) != count:  # noqa: ASYNC110
            await trio.sleep(0.002)


async def read(stream: trio.SocketStream, until: bytes) -> bytes:
    received = b""
    while until not in received:
        data = await stream.receive_some(65536)
        if not data:
            return received + b"END"
        received += data
    return received


@asynccontextmanager
async def nodes(context: ssl.SSLContext | None = None, trusted_proxies: Sequence[str] = ()) -> AsyncIterator[Nodes]:
    """Serve with two servers; ``a`` has all partitions."""
    found, hub = Nodes(), MemoryHub()

    def registry(name: str) -> Registry:
        registry = Registry(alone=True)
        make = lambda request: Room(name, found.ends)  # noqa: E731
        registry.register_factory("/room/{name}", make, wsframe.any_origin, scope="path")
        registry.register("/one", Room(name, found.ends), wsframe.any_origin)

        async def page(request: Request) -> Response:
            return Response(f"page of {name} for {request.host}\n")

        registry.route("/page", page)
        return registry

    with trio.fail_after(BOUND):
        async with wsframe.open_server(registry("a"), port=0, backplane=MemoryBackplane(hub)) as found.servers["a"]:
            tenure = found.engine("a").owning
            assert tenure is not None
            while len(tenure.tenure.here) < 256:  # noqa: ASYNC110
                await trio.sleep(0.01)
            tenure.giving._share_one = trio.lowlevel.checkpoint  # type: ignore[method-assign]
            async with wsframe.open_server(
                registry("b"),
                port=0,
                backplane=MemoryBackplane(hub),
                ssl_context=context,
                trusted_proxies=trusted_proxies,
            ) as found.servers["b"]:
                name = found.engine("a").topics.interest.node
                peering = found.peering("b")
                holders = found.engine("b").owning
                assert holders is not None
                while not peering._keys.address_for(name) or holders.tenure.holder_of(0) != name:  # noqa: ASYNC110
                    await trio.sleep(0.01)
                yield found


async def test_a_newcomer_gets_to_its_resource_from_any_server() -> None:
    async with nodes() as service:
        for path in ("/room/red", "/room/blue", "/one"):
            for server in ("a", "b"):
                async with connect(service.url(server, path)) as websocket:
                    greeting = str(await websocket.receive())
                    assert greeting.startswith("a 127.0.0.1 ")
                    assert greeting.endswith(" False")
                    for text in ("a", "b" * 100_000):
                        await websocket.send_text(text)
                        assert await websocket.receive() == text
                    assert len(service.peering("b").splices) == int(server == "b")
            await service.until("b", 0)
        assert service.peering("b").splices.spliced == service.peering("a").port.taken == 3
        assert service.peering("a").splices.spliced == service.peering("b").port.taken == 0


async def test_a_server_tells_of_the_clients_that_are_carried_to_it_and_away_from_it() -> None:
    async with nodes() as service:

        def carried() -> list[tuple[int, int]]:
            summaries = [service.engine(name).nodes.summary() for name in ("a", "b")]
            return [(one["carried_here"], one["carried_away"]) for one in summaries]

        async with connect(service.url("a", "/one")), connect(service.url("b", "/one")) as websocket:
            await websocket.receive()
            assert carried() == [(1, 0), (0, 1)]
        while carried() != [(0, 0), (0, 0)]:  # noqa: ASYNC110
            await trio.sleep(0.002)


async def test_tls_ends_where_the_client_has_come() -> None:
    async with nodes(SERVER) as service, connect(service.url("b"), ssl_context=CLIENT) as websocket:
        assert str(await websocket.receive()).endswith(" True")


async def test_pages_and_a_wrong_host_are_answered() -> None:
    async with nodes() as service:
        host, port = service.servers["b"].addresses[0].removeprefix("ws://").split(":")
        for name, answer in (("localhost", b"page of a for 127.0.0.1"), ("evil.example", b" 400 ")):
            async with await trio.open_tcp_stream(host, int(port)) as stream:
                await stream.send_all(f"GET /page HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
                assert answer in await read(stream, b"never")
        assert service.peering("b").splices.spliced == 1


async def test_a_trusted_proxy_that_can_is_told_the_owner() -> None:
    asks = "X-Wsframe-Proxy: nginx\r\nHost: localhost"
    for trusted in (["127.0.0.1"], []):
        async with nodes(trusted_proxies=trusted) as service, service.raw("b", more=asks) as stream:
            answer = await read(stream, b"False" if not trusted else b"never")
            if trusted:
                owner = service.servers["a"].addresses[0].removeprefix("ws://")
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert b"\r\nX-Accel-Redirect: @wsframe_owner\r\n" in answer
                assert f"\r\nX-Wsframe-Owner: {owner}\r\n".encode() in answer
            assert service.peering("b").splices.spliced == int(not trusted)


# The peer port


async def dial(service: Nodes, *data: bytes) -> bytes:
    """Send bytes to the peer port of ``a``, and return the answer."""
    sock = service.peering("a").port._place.sock
    async with await trio.open_tcp_stream(*sock.getsockname()[:2]) as stream:
        for part in data:
            await stream.send_all(part)
        try:
            return bytes(await stream.receive_some(100))
        except trio.BrokenResourceError:
            return b"reset"


def header(
    service: Nodes, partition: int | None = None, key: bytes | None = None, late: float = 0, nonce: bytes = b"n" * 16
) -> bytes:
    node = service.engine("a").topics.interest.node
    key = key or service.peering("a")._keys.own
    wanted = service.partition() if partition is None else partition
    return sealed(ClientFacts(host="192.0.2.1", port=1), wanted, node, key, time.time() - late, nonce)


async def test_a_replayed_or_forged_header_is_refused_before_any_byte(caplog: pytest.LogCaptureFixture) -> None:
    async with nodes() as service:
        good = header(service)
        assert await dial(service, good) == MINE
        assert await dial(service, good) == b"reset"
        assert "it has been sent before" in caplog.text
        assert await dial(service, header(service, key=bytes(32))) == b"reset"
        assert "its seal is wrong" in caplog.text
        assert await dial(service, header(service, late=60)) == b"reset"
        assert await dial(service, b"GET / HTTP/1.1\r\n\r\n") == b"reset"
        assert service.peering("a").port.taken == 1
        assert all(one.levelno >= logging.WARNING for one in caplog.records if "peer port" in one.getMessage())


async def test_invariant_10_a_server_without_the_partition_says_so_before_any_byte() -> None:
    async with nodes() as service:
        owning = service.engine("a").owning
        assert owning is not None
        owning.tenure.close(service.partition())
        assert await dial(service, header(service)) == NOT_MINE


async def test_invariant_10_a_spliced_newcomer_is_never_spliced_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with nodes() as service:
        a, b = (service.engine(name).owning for name in "ab")
        assert a is not None
        assert b is not None
        # Between the answer of the peer port and the admission the owner has changed its mind.
        asked: list[int] = []

        def once(partition: int) -> str:
            asked.append(partition)
            return a.tenure.node if len(asked) == 1 else b.tenure.node

        monkeypatch.setattr(a.tenure, "holder_of", once)
        async with service.raw("b") as stream:
            await read(stream, b"\r\n\r\n")
        assert service.peering("a").splices.spliced == 0
        assert service.peering("b").port.taken == 0


async def test_invariant_10_after_a_second_look_at_the_table_it_is_503(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with nodes() as service:
        owning = service.engine("b").owning
        assert owning is not None
        monkeypatch.setattr(service.peering("a").port, "_has", lambda partition: False)
        looks: list[int] = []

        async def look_again(partition: int) -> str:
            looks.append(partition)
            return service.engine("a").topics.interest.node

        monkeypatch.setattr(owning.tenure, "look_again", look_again)
        async with service.raw("b") as stream:
            answer = await read(stream, b"never")
        assert b" 503 " in answer
        assert b"Retry-After" in answer
        assert looks == [service.partition()]


async def test_a_newcomer_that_belongs_here_after_all_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async with nodes() as service:
        a, b = (service.engine(name).owning for name in "ab")
        assert a is not None
        assert b is not None
        while not b.tenure.neighbors.holder(service.partition()):  # noqa: ASYNC110
            await trio.sleep(0.01)
        known = [b.tenure.neighbors.holder(service.partition())]
        monkeypatch.setattr(service.peering("a").port, "_has", lambda partition: False)

        async def look_again(partition: int) -> str:
            await a.giving.give(partition, b.tenure.node)
            while not b.tenure.holds(partition):
                b.tenure.want([partition])
                await trio.sleep(0.01)
            known[:] = [b.tenure.node]
            return b.tenure.node

        monkeypatch.setattr(b.tenure, "holder_of", lambda partition: known[0])
        monkeypatch.setattr(b.tenure, "look_again", look_again)
        async with service.raw("b") as stream:
            assert b"b 127.0.0.1" in await read(stream, b"False")


# The six rules, and bounds


async def test_a_stalled_client_of_a_splice_costs_the_others_nothing() -> None:
    async with nodes() as service, service.raw("b", receives=4096) as stalled, connect(service.url("b")) as other:
        await other.receive()
        await read(stalled, b"False")
        await stalled.send_all(b"\x81\x85\0\0\0\0flood")
        loop = service.engine("b").admission.carried.loop
        while loop.held == 0:  # noqa: ASYNC110
            await trio.sleep(0.002)
        for number in range(50):
            await other.send_text(str(number))
            assert await other.receive() == str(number)
        assert loop.held <= 2 * AT_ONCE


async def test_an_abort_of_the_owner_is_a_reset() -> None:
    async with nodes() as service, service.raw("b") as stream:
        await read(stream, b"False")
        await stream.send_all(b"\x81\x85\0\0\0\0abort")
        with pytest.raises(trio.BrokenResourceError) as found:
            await read(stream, b"never")
        cause = found.value.__cause__
        assert isinstance(cause, OSError)
        assert cause.errno == errno.ECONNRESET
        await service.until("b", 0)


@pytest.mark.parametrize("way", ["reset", "end", "half-close"])
async def test_the_end_of_a_client_is_the_end_at_its_owner(way: str) -> None:
    async with nodes() as service:
        async with service.raw("b") as stream:
            await read(stream, b"False")
            if way == "reset":
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
            elif way == "half-close":
                await stream.send_all(b"\x88\x82\0\0\0\0\x03\xe8")
                await stream.send_eof()
                assert await read(stream, b"never") == b"\x88\x02\x03\xe8END"
        while not service.ends:  # noqa: ASYNC110
            await trio.sleep(0.002)
        assert service.ends == [1000 if way == "half-close" else 1006]
        await service.until("b", 0)


async def test_invariant_12_a_server_carries_so_many_to_another_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(splice, "MOST_SPLICED", 1)
    async with nodes() as service, connect(service.url("b")) as websocket:
        await websocket.receive()
        for _ in range(3):
            async with service.raw("b") as stream:
                assert b" 503 " in await read(stream, b"never")
        assert [one.levelname for one in caplog.records if "no more can be" in one.getMessage()] == ["ERROR"]


async def test_invariant_12_an_owner_that_does_not_answer_keeps_nobody_from_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(splice, "MOST_DIALING", 3)
    async with nodes() as service:
        answer = trio.Event()

        async def silent(newcomer: Newcomer) -> None:
            try:
                await answer.wait()
            finally:
                newcomer.transport.close()

        monkeypatch.setattr(service.peering("a").port, "_receive", silent)
        pending = service.engine("b").admission.pending.under_way
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                async with service.raw("b") as stream:
                    await read(stream, b"never")

            for _ in range(3):
                nursery.start_soon(wait)
            dialing = service.peering("b").splices._dialing
            while sum(dialing.values()) < 3:  # noqa: ASYNC110
                await trio.sleep(0.002)
            assert not pending
            async with service.raw("b") as stream:
                assert b"too many wait for its owner" in await read(stream, b"never")
            nursery.cancel_scope.cancel()
        answer.set()


async def end_of(websocket: wsframe.WebSocket) -> int | None:
    with suppress(ConnectionClosed):
        await websocket.receive()
    return websocket.close_code


async def test_a_resource_that_moves_ends_the_splices_to_its_old_owner_1012() -> None:
    async with nodes() as service:
        with suppress(ConnectionClosed):
            async with connect(service.url("b")) as websocket:
                await websocket.receive()
                owning = service.engine("a").owning
                assert owning is not None
                await owning.giving.give(service.partition(), service.engine("b").topics.interest.node)
                assert await end_of(websocket) == 1012
        assert service.ends == [1012]


async def test_an_owner_that_cannot_say_so_has_its_splices_ended_here(monkeypatch: pytest.MonkeyPatch) -> None:
    async with nodes() as service:
        owning = service.engine("b").owning
        assert owning is not None
        with suppress(ConnectionClosed):
            async with connect(service.url("b")) as websocket:
                await websocket.receive()
                monkeypatch.setattr(owning.tenure, "holder_of", lambda partition: "10.0.0.9:1/0/other")
                assert await end_of(websocket) == 1012
        await service.until("b", 0)


async def test_a_server_that_drains_ends_its_splices_in_order() -> None:
    async with nodes() as service:
        with suppress(ConnectionClosed):
            async with connect(service.url("b")) as websocket:
                await websocket.receive()
                service.servers["b"].close()
                assert await end_of(websocket) == 1001


@pytest.mark.parametrize("answers", [True, False])
async def test_a_newcomer_whose_owner_answers_during_the_drain_is_refused(
    monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    monkeypatch.setattr(splice, "WITHIN", BOUND)
    monkeypatch.setattr(peer_port, "WITHIN", BOUND)
    async with nodes() as service:
        port, answer = service.peering("a").port, trio.Event()
        decide = port._decide

        async def slow(newcomer: Newcomer) -> None:
            await answer.wait()
            await decide(newcomer)

        monkeypatch.setattr(port, "_decide", slow)
        engine = service.engine("b")
        async with service.raw("b") as stream:
            while not service.peering("b").splices._dialing:  # noqa: ASYNC110
                await trio.sleep(0.002)
            engine.drain(lame_duck=0)
            while not engine.admission.carried.departing:  # noqa: ASYNC110
                await trio.sleep(0.002)
            if answers:
                answer.set()
            assert (await read(stream, b"never")).startswith(b"HTTP/1.1 503 ")
        answer.set()


async def test_a_server_that_drains_has_no_peer_port() -> None:
    async with nodes() as service, service.raw("a") as stays:
        await read(stays, b"False")
        address = service.peering("a").port._place.sock.getsockname()
        service.engine("a").drain(lame_duck=0)
        with suppress(OSError):
            while True:
                await (await trio.open_tcp_stream(*address)).aclose()
                await trio.sleep(0.01)
        assert service.engine("a").clients == 1


async def test_a_newcomer_that_waits_for_the_engine_is_not_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    async with nodes() as service:
        owning, node = service.engine("b").owning, service.engine("a").topics.interest.node
        assert owning is not None
        known = trio.Event()

        async def look_again(partition: int) -> str:
            await known.wait()
            return node

        monkeypatch.setattr(owning.tenure, "holder_of", lambda partition: node if known.is_set() else "")
        monkeypatch.setattr(owning.tenure, "look_again", look_again)
        monkeypatch.setattr(splice, "WITHIN", BOUND)
        admission = service.engine("b").admission
        async with service.raw("b") as stream:
            while not (waiting := [*admission.pending.away]):  # noqa: ASYNC110
                await trio.sleep(0.002)
            assert not admission.pending.under_way
            monkeypatch.setattr(splice, "MOST_WAITING", 1)
            async with service.raw("b") as second:  # beyond the bound it is among the pending, and still has its time
                while not admission.pending.under_way:  # noqa: ASYNC110
                    await trio.sleep(0.002)
                for one in (*waiting, *admission.pending.under_way):
                    one.since -= 100
                while not all(one.head_received for one in admission.pending.under_way):  # noqa: ASYNC110
                    await trio.sleep(0.002)
                admission.pending.make_room()
                known.set()
                for one_stream in (stream, second):
                    assert b"a 127.0.0.1" in await read(one_stream, b"False")


@pytest.mark.parametrize("share", [splice.PATIENCE, 0.001])
async def test_an_engine_that_does_not_answer_costs_a_503(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    monkeypatch.setattr(splice, "PATIENCE", share)
    async with nodes() as service:
        owning = service.engine("b").owning
        assert owning is not None

        async def look_again(partition: int) -> str:
            await trio.sleep_forever()
            raise AssertionError

        monkeypatch.setattr(owning.tenure, "holder_of", lambda partition: "")
        monkeypatch.setattr(owning.tenure, "look_again", look_again)
        monkeypatch.setattr(splice, "WITHIN", 0.05 if share > 0.1 else BOUND)
        before = service.engine("b").admission.answering.refused
        async with service.raw("b") as stream:
            answer = await read(stream, b"never")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: " in answer
        assert service.engine("b").admission.answering.refused == before + 1


async def test_a_balancer_that_sends_many_to_the_wrong_server_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    async with nodes() as service:
        splices = service.peering("b").splices
        for here, away, warned in ((80, 20, 0), (10, 10, 0), (79, 21, 1), (0, 50, 1), (1000, 0, 0)):
            caplog.clear()
            splices._here, splices._away = here, away
            splices._judge()
            assert sum("X-Wsframe-Proxy: nginx" in one.getMessage() for one in caplog.records) == warned


async def test_servers_that_share_nothing_have_no_peer_port() -> None:
    class Feed(Resource):
        scope = "shared"

    for backplane, resource in ((None, Resource()), (MemoryBackplane(MemoryHub()), Feed())):
        registry = Registry(alone=True)
        registry.register("/", resource, wsframe.any_origin)
        async with wsframe.open_server(registry, port=0, backplane=backplane) as server:
            engine = server._engine
            assert isinstance(engine, LocalEngine)
            assert engine.peering is None
            assert engine.admission.splices is None


async def test_a_partition_of_the_generation_before_is_waited_for_and_not_dialed() -> None:
    async with nodes() as service:
        splices = service.peering("b").splices
        placement = splices._signpost.placement
        partition = next(one for one in range(256) if splices._holders.holder_of(one) != splices._node)
        assert not splices._is_here(partition)
        placement._away.add(partition)
        assert splices._is_here(partition)
        assert await splices._find(partition, again=True) == ""
        placement.leave(partition)  # to the generation after, which has a port
        assert not splices._is_here(partition)
