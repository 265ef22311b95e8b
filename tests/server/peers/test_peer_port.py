"""The peer port: where it is bound, its bounds, and connections that send no header."""

from __future__ import annotations

import logging
import os
import socket
import time
from contextlib import suppress

import pytest
import trio

from tests.patience import PATIENCE
from tests.ports import free_port
from tests.server.peer_servers import dial, header, nodes, read
from tests.workers.services import Service
from wsframe import Cluster
from wsframe.net.client_facts import ClientFacts
from wsframe.net.peer_header import PeerGate, sealed
from wsframe.net.proxy_protocol import SIGNATURE
from wsframe.server import peering
from wsframe.server.newcomers.newcomer import Newcomer
from wsframe.server.peers import dialing, peer_port, splice
from wsframe.server.peers.keys import peer_address
from wsframe.server.peers.peer_port import BUFFER, BUSY, MINE, NOT_MINE, PeerPort, peer_socket

SECRET = "16 letters or more"


def test_a_free_port_of_loopback_is_taken_and_named() -> None:
    with peer_socket(Cluster(), None) as made:
        assert peer_address(made.name) == made.sock.getsockname()
        assert made.name.split("/")[1] == "0"
        assert made.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 2 * BUFFER
    assert made.sock.fileno() == -1


def test_the_advertised_address_is_named() -> None:
    port = free_port(1)
    cluster = Cluster(peer_bind=f"127.0.0.1:{port}", peer_advertise="node-3.internal:7000", peer_secret=SECRET)
    with peer_socket(cluster, None) as made:
        assert peer_address(made.name) == ("node-3.internal", 7000)


def test_each_worker_and_its_successor_has_a_port_of_its_own() -> None:
    port = free_port(4)
    cluster = Cluster(peer_bind=f"127.0.0.1:{port}", peer_advertise="10.0.0.1:7000", peer_secret=SECRET)
    service = Service(2, lambda registry, slot: None)
    first, second = service.worker(0), service.worker(1)
    with peer_socket(cluster, first) as one, peer_socket(cluster, second) as two, peer_socket(cluster, second) as three:
        assert [made.sock.getsockname()[1] - port for made in (one, two, three)] == [0, 1, 3]
        assert [peer_address(made.name) for made in (one, two, three)] == [
            ("10.0.0.1", 7000), ("10.0.0.1", 7001), ("10.0.0.1", 7003),
        ]  # fmt: skip
        refused = pytest.raises(OSError, match=f"cannot listen at the peer port 127.0.0.1:{port + 3}")
        with refused, peer_socket(cluster, second):
            pass
    service.close()


async def test_beyond_the_bound_the_oldest_silent_connection_makes_room(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(peer_port, "MOST_UNPROVED", 2)
    monkeypatch.setattr(peer_port, "WITHIN", 1000.0)
    async with nodes() as service:
        address = service.peering("a").port._place.sock.getsockname()
        silent = [await trio.open_tcp_stream(*address) for _ in range(5)]
        for one in silent[:3]:
            with pytest.raises(trio.BrokenResourceError):
                await one.receive_some(1)
        assert await dial(service, header(service)) == MINE
        for one in silent:
            await one.aclose()
        assert {one.levelname for one in caplog.records if "send no header" in one.getMessage()} == {"WARNING"}


def test_a_silent_connection_ends_before_a_dialler_gives_up() -> None:
    assert peering.ROOM_WITHIN < peer_port.WITHIN < dialing.WITHIN


async def test_a_header_that_cannot_be_used_costs_its_connection_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with nodes() as service:
        for junk in (b"junk", b"PROXY NOTHING 1\r\n", b"\r\n\r\n\0\r\nQUIT\n\x31\0\0\0"):
            node, key = service.local("a").topics.interest.node, service.peering("a")._keys.own
            facts = ClientFacts(host="192.0.2.1", port=1, proxy_header=junk)
            sent = sealed(facts, service.partition(), node, key, time.time(), os.urandom(16))
            assert await dial(service, sent) == b"reset"
        assert caplog.text.count("refused at the peer port") == 3
        assert await dial(service, header(service)) == MINE
        assert not service.local("a").draining


async def test_an_unforeseen_error_costs_its_connection_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with nodes() as service:
        with monkeypatch.context() as patch:
            patch.setattr(service.peering("a").port, "_has", {}.__getitem__)
            assert await dial(service, header(service)) == b"reset"
        assert "internal error at the peer port" in caplog.text
        assert await dial(service, header(service, nonce=b"m" * 16)) == MINE
        assert not service.local("a").draining


async def test_an_owner_without_room_says_so_before_any_other_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peering, "ROOM_WITHIN", 0.05)
    monkeypatch.setattr(splice, "PATIENCE", 0.05)
    async with nodes() as service:
        pending, made = service.local("a").admission.pending, []
        monkeypatch.setattr(pending, "has_room", lambda: False)
        monkeypatch.setattr(pending, "make_room", lambda: made.append(True))
        assert await dial(service, header(service)) == BUSY
        assert made
        assert not pending.all()
        async with service.raw("b") as stream:
            answer = await read(stream, b"never")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert service.peering("b").splices.spliced == service.peering("a").port.taken == 0


async def test_an_owner_that_has_room_again_takes_those_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peering, "ROOM_WITHIN", PATIENCE)
    monkeypatch.setattr(peer_port, "WITHIN", PATIENCE)
    async with nodes() as service:
        pending = service.local("a").admission.pending
        for has in (True, False):
            pending.most = 0
            async with trio.open_nursery() as nursery:
                answers: list[bytes] = []

                async def ask(nonce: bytes, answers: list[bytes] = answers) -> None:
                    answers.append(await dial(service, header(service, nonce=nonce)))

                nursery.start_soon(ask, os.urandom(16))
                while not pending.away:  # noqa: ASYNC110
                    await trio.sleep(0.002)
                if not has:  # given away in the meantime
                    owner = service.local("a").owner
                    assert owner is not None
                    owner.owned.close(service.partition())
                pending.most = 200
                for _ in range(2):
                    pending.decided(None)  # type: ignore[arg-type]
            assert answers == [MINE if has else NOT_MINE]


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system has no such timeout")
async def test_no_side_of_a_splice_is_cut_because_the_other_side_waits() -> None:
    async with nodes() as service, service.raw("b") as stream:
        await read(stream, b"False")
        (link,) = service.local("a").reactor.links.values()
        (pump,) = service.local("b").admission.carried.loop.pumps()
        for sock in (link.transport.sock, pump._owner):
            assert isinstance(sock, socket.socket)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def has_room(newcomer: Newcomer) -> bool:
    return True


async def trickle(stream: trio.SocketStream) -> None:
    """Send a header that does not end, a byte at a time."""
    for byte in SIGNATURE + b"\x21\x11\xf0\x00" + bytes(60_000):
        await stream.send_all(bytes((byte,)))
        await trio.sleep(0.001)


async def test_silence_and_a_trickle_are_ended() -> None:
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as listening:
        patch.setattr(peer_port, "WITHIN", 0.05)
        listening.setblocking(False)
        port = PeerPort(listening, PeerGate("a", bytes(32), lambda: 0.0), lambda _: True, has_room, lambda _: True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(port.run)
            with trio.fail_after(PATIENCE):
                stream = await trio.open_tcp_stream(*listening.getsockname())
                with pytest.raises(trio.BrokenResourceError):
                    await stream.receive_some(1)
                await stream.aclose()
                trickling = await trio.open_tcp_stream(*listening.getsockname())
                with pytest.raises(trio.BrokenResourceError):
                    await trickle(trickling)
                await trickling.aclose()
                ended = await trio.open_tcp_stream(*listening.getsockname())
                await ended.aclose()
                while port._unproved:  # noqa: ASYNC110
                    await trio.sleep(0.001)
            nursery.cancel_scope.cancel()


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
        service.owner("a").owned.close(service.partition())
        assert await dial(service, header(service)) == NOT_MINE


async def test_a_server_that_drains_has_no_peer_port() -> None:
    async with nodes() as service, service.raw("a") as stays:
        await read(stays, b"False")
        address = service.peering("a").port._place.sock.getsockname()
        service.local("a").drain(lame_duck=0)
        with suppress(OSError):
            while True:
                await (await trio.open_tcp_stream(*address)).aclose()
                await trio.sleep(0.01)
        assert service.local("a").clients == 1
