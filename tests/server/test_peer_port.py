"""The peer port: where it is bound, its bounds, and connections that send no header."""

from __future__ import annotations

import socket

import pytest
import trio

from tests.workers.services import Service
from wsframe import Cluster
from wsframe.net.peer_header import PeerGate
from wsframe.server import peer_port
from wsframe.server.peer_port import BUFFER, PeerPort, peer_socket
from wsframe.server.peers import peer_address

SECRET = "16 letters or more"


def free_ports(count: int) -> int:
    """Return a port that is free, as are those after it."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            first = int(sock.getsockname()[1])
        try:
            for port in range(first, first + count):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return first


def test_a_free_port_of_loopback_is_taken_and_named() -> None:
    with peer_socket(Cluster(), None) as made:
        assert peer_address(made.name) == made.sock.getsockname()
        assert made.name.split("/")[1] == "0"
        assert made.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 2 * BUFFER
    assert made.sock.fileno() == -1


def test_the_advertised_address_is_named() -> None:
    port = free_ports(1)
    cluster = Cluster(peer_bind=f"127.0.0.1:{port}", peer_advertise="node-3.internal:7000", peer_secret=SECRET)
    with peer_socket(cluster, None) as made:
        assert peer_address(made.name) == ("node-3.internal", 7000)


def test_each_worker_and_its_successor_has_a_port_of_its_own() -> None:
    port = free_ports(4)
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


def test_connections_without_a_header_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_port, "MOST_UNPROVED", 2)
    port = PeerPort(socket.socket(), PeerGate("a", bytes(32), lambda: 0.0), lambda _: True, lambda _: True)
    assert port.has_room()
    port._unproved = 2
    assert not port.has_room()
    port.make_room()
    port._place.sock.close()


async def test_silence_is_ended() -> None:
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as listening:
        patch.setattr(peer_port, "WITHIN", 0.05)
        listening.setblocking(False)
        port = PeerPort(listening, PeerGate("a", bytes(32), lambda: 0.0), lambda _: True, lambda _: True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(port.run)
            with trio.fail_after(60):
                stream = await trio.open_tcp_stream(*listening.getsockname())
                with pytest.raises(trio.BrokenResourceError):
                    await stream.receive_some(1)
                await stream.aclose()
                ended = await trio.open_tcp_stream(*listening.getsockname())
                await ended.aclose()
                while port._unproved:  # noqa: ASYNC110
                    await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
