"""The connections between the servers of a simulated cluster, over which they carry clients to one another."""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Iterator
from itertools import count
from math import inf
from typing import Any, cast
from weakref import WeakSet

import trio

from wsframe.doorbell import Doorbell
from wsframe.net.poller import WRITE
from wsframe.net.transport import Transport
from wsframe.server.peers.keys import peer_name
from wsframe.server.peers.peer_port import BUFFER, PeerSocket
from wsframe.testing.memory_sockets import MemoryListener, MemoryNetwork, MemorySocket, error, pair_of

__all__ = ["PeerEnd", "PeerNetwork"]

HOST = "10.0.0.1"
FIRST_PORT = 10_001


class PeerEnd(MemorySocket):
    """One end of a connection between two servers, on which nothing arrives while it is held."""

    held: bool = False

    def recv(self, size: int, /) -> bytes:
        """Receive, but not while it is held."""
        if self.held and not self._closed:
            raise error(errno.EAGAIN)
        return super().recv(size)

    def readiness(self) -> int:
        """Return the poller's flags for the operations that would not block now."""
        if not self.held or self._closed:
            return super().readiness()
        return super().readiness() & WRITE

    def has_ended(self) -> bool:
        """Return whether the peer is known to have stopped sending, or to have gone."""
        return super().has_ended() and (self._closed or not self.held)

    def hold(self, held: bool) -> None:
        """Have bytes and ends arrive no more, or again."""
        if self.held != held:
            self.held = held
            self._tell()

    def cut_off(self) -> None:
        """Reset it from both sides: the bytes on their way are gone."""
        self.held = self._peer.held = False  # type: ignore[attr-defined]
        for end in (self, self._peer):
            end.be_reset()


class PeerNetwork:
    """The network between the servers of a cluster."""

    def __init__(self) -> None:
        self._ports = count(FIRST_PORT)
        self._listeners: dict[int, tuple[int, MemoryListener, MemoryNetwork]] = {}
        """By port: the node, its peer port, and its sockets."""
        self._pairs: defaultdict[tuple[int, int], WeakSet[PeerEnd]] = defaultdict(WeakSet)
        """The ends of all connections, by the nodes that have them."""
        self._until: dict[int, float] = {}
        """The time until which nothing passes from and to a node."""
        self._changed = Doorbell()
        self._dialing = trio.lowlevel.ParkingLot()
        """Nodes that wait for an answer of one that does not hear them."""

    def port_of(self, node: int, network: MemoryNetwork) -> PeerSocket:
        """Make the peer port of a node that starts."""
        number, listener = next(self._ports), MemoryListener()
        made = PeerSocket(cast(Any, listener), peer_name((HOST, number), 0))

        async def dial(host: str, port: int) -> Transport:
            await trio.lowlevel.checkpoint()
            while self._is_held(node) or self._is_held(self._node_at(port)):
                await self._dialing.park()
            return self._connected(node, network, number, port)

        made.dial = dial
        made.clock = trio.current_time
        self._listeners[number] = node, listener, network
        return made

    def _node_at(self, port: int) -> int:
        if port not in self._listeners:
            raise error(errno.ECONNREFUSED)
        return self._listeners[port][0]

    def _connected(self, node: int, network: MemoryNetwork, number: int, port: int) -> Transport:
        other, listener, theirs = self._listeners[port]
        ours, end = pair_of(PeerEnd, (network.number(), theirs.number()), BUFFER)
        listener.offer(end, (HOST, number))
        network.add(ours)
        theirs.add(end)
        self._pairs[node, other].update((ours, end))
        return Transport(ours)

    def _is_held(self, node: int) -> bool:
        return node in self._until

    def hold(self, node: int, until: float) -> None:
        """Have nothing pass from and to a node until then; messages that pass then have waited."""
        self._until[node] = max(until, self._until.get(node, 0))
        self._tell(node)

    def let_go(self, node: int) -> None:
        """Let everything pass again."""
        if self._until.pop(node, None) is not None:
            self._tell(node)

    def reset(self, node: int) -> None:
        """Break all connections of a node off, and its peer port with them."""
        for number in [number for number, (one, _, _) in self._listeners.items() if one == node]:
            del self._listeners[number]
        for end in self._ends(node):
            end.cut_off()

    def _ends(self, node: int) -> Iterator[PeerEnd]:
        for nodes, ends in self._pairs.items():
            if node in nodes:
                yield from list(ends)

    def _tell(self, node: int) -> None:
        for nodes, ends in self._pairs.items():
            if node in nodes:
                held = any(map(self._is_held, nodes))
                for end in list(ends):
                    end.hold(held)
        self._dialing.unpark_all()
        self._changed.ring()

    async def run(self) -> None:
        """Let messages go that have been held for long enough, until cancelled."""
        while True:
            with trio.move_on_at(min(self._until.values(), default=inf)):
                await self._changed.wait()
            now = trio.current_time()
            for node in [node for node, until in self._until.items() if until <= now]:
                self.let_go(node)
