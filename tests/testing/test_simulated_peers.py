"""The connections between the servers of a simulated cluster: held, broken off, refused."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from wsframe.net.poller import END, GONE, READ, WRITE
from wsframe.net.transport import Transport
from wsframe.server.peers.keys import peer_address
from wsframe.server.peers.peer_port import PeerSocket
from wsframe.testing.memory_sockets import MemoryNetwork
from wsframe.testing.simulated_peers import PeerEnd, PeerNetwork


class Nodes:
    """Two nodes; ``connect`` has node 0 dial node 1."""

    def __init__(self) -> None:
        self.network = PeerNetwork()
        self.ports: list[PeerSocket] = [self.network.port_of(number, MemoryNetwork()) for number in range(2)]

    async def dial(self) -> Transport:
        assert self.ports[0].dial is not None
        return await self.ports[0].dial(*(peer_address(self.ports[1].name) or ("", 0)))

    async def connect(self) -> tuple[PeerEnd, PeerEnd]:
        near = (await self.dial()).release()
        far, _ = self.ports[1].sock.accept()
        assert isinstance(near, PeerEnd)
        assert isinstance(far, PeerEnd)
        return near, far


async def test_bytes_of_a_held_node_wait_and_none_is_lost() -> None:
    nodes = Nodes()
    near, far = await nodes.connect()
    nodes.network.hold(1, 10)
    near.send(b"hello")
    near.close()
    assert not far.readiness() & (READ | END | GONE)
    assert far.readiness() & WRITE
    assert not far.has_ended()
    with pytest.raises(BlockingIOError):
        far.recv(10)
    nodes.network.let_go(1)
    assert far.recv(10) == b"hello"
    assert far.recv(10) == b""
    assert far.has_ended()


async def test_a_connection_waits_for_both_of_its_nodes() -> None:
    nodes = Nodes()
    near, far = await nodes.connect()
    near.send(b"hello")
    nodes.network.hold(0, 10)
    nodes.network.hold(1, 10)
    nodes.network.let_go(0)
    assert not far.readiness() & READ
    nodes.network.let_go(1)
    assert far.recv(10) == b"hello"


async def test_the_time_lets_a_held_node_go(autojump_clock: MockClock) -> None:
    nodes = Nodes()
    near, far = await nodes.connect()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(nodes.network.run)
        begun = trio.current_time()
        nodes.network.hold(1, begun + 5)
        nodes.network.hold(1, begun + 3)
        near.send(b"hello")
        await far.wait_readable()
        assert trio.current_time() == begun + 5
        nursery.cancel_scope.cancel()


async def test_dialing_a_held_node_waits_until_it_hears() -> None:
    nodes = Nodes()
    nodes.network.hold(1, 10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(nodes.dial)
        await wait_all_tasks_blocked()
        with pytest.raises(BlockingIOError):
            nodes.ports[1].sock.accept()
        nodes.network.let_go(1)
    nodes.ports[1].sock.accept()


async def test_a_node_that_was_killed_resets_and_refuses() -> None:
    nodes = Nodes()
    near, _ = await nodes.connect()
    nodes.network.hold(1, 10)
    nodes.network.reset(1)
    assert near.readiness() & GONE
    with pytest.raises(ConnectionResetError):
        near.recv(10)
    with pytest.raises(ConnectionRefusedError):
        await nodes.dial()
