"""The part of a server that carries newcomers to the servers that have their resource, and takes those of others."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from typing import Final

import trio

from wsframe.backplane.interface import Backplane
from wsframe.net.peer_header import PeerGate
from wsframe.resources.routing.registry import Registry
from wsframe.resources.topics.topics import Topics
from wsframe.server.admission import Admission
from wsframe.server.cluster import Cluster, is_loopback, is_unspecified
from wsframe.server.newcomers.newcomer import Newcomer
from wsframe.server.options import ServeOptions
from wsframe.server.ownership.owned_partitions import OwnedPartitions
from wsframe.server.ownership.partition_owner import PartitionOwner, grants_leases, has_owners
from wsframe.server.peers.dialing import Dialer, connected
from wsframe.server.peers.keys import Keys, Messages, peer_address
from wsframe.server.peers.peer_port import PeerPort, PeerSocket, peer_socket
from wsframe.server.peers.splice import Splices
from wsframe.server.sockets.listen import Bound
from wsframe.user_code.protected_nursery import ProtectedNursery
from wsframe.workers.worker import Worker

__all__ = ["Peering", "bound_peer_socket", "open_peering"]

ROOM_WITHIN: Final = 1.0
"""Seconds until a server that passes a newcomer on hears that there is no room for it."""


@contextmanager
def bound_peer_socket(
    cluster: Cluster,
    plane: Backplane | None,
    registries: Iterable[Registry],
    worker: Worker | None,
    places: Sequence[Bound],
) -> Iterator[PeerSocket | None]:
    """Bind the peer port of a server that shares resources with others, and close it at the end.

    Args:
        cluster: Says where.
        plane: The backplane.
        registries: The resources.
        worker: This process, if it is one of several workers.
        places: The listening sockets of the server, with their settings.

    Yields:
        None for a server that shares none, and for one in memory that is not in a simulated cluster.

    Raises:
        OSError: If the address cannot be bound.
    """
    if not (grants_leases(plane, worker) and has_owners(registries)):
        yield None
        return
    if not all(isinstance(one.sock, socket.socket) for one in places):
        yield getattr(places[0].sock, "peer_port", None)
        return
    with peer_socket(cluster, worker) as made:
        host, _ = peer_address(made.name) or ("", 0)
        made.serves = next((port for one in places if (port := plain_port(one, host))), 0)
        yield made


def plain_port(place: Bound, host: str) -> int:
    """Return the port of a listening socket at which a proxy can ask without TLS and PROXY header; 0 for none.

    Args:
        place: The listening socket.
        host: The host at which others reach this server.
    """
    name = place.sock.getsockname()
    if place.tls is not None or place.proxy_protocol or not isinstance(name, tuple):
        return 0
    reached = is_unspecified(name[0]) or is_loopback(name[0]) == is_loopback(host)
    return int(name[1]) if reached else 0


async def open_peering(
    port: PeerSocket | None, owner: PartitionOwner | None, topics: Topics, options: ServeOptions, admission: Admission,
    workings: ProtectedNursery,
) -> Peering | None:  # fmt: skip
    """Begin to carry connections; return those from and to other servers, None for a server that shares nothing."""
    await workings.start(admission.carried.loop.run)
    if port is None or owner is None:
        return None
    peering = Peering(port, owner.owned, topics.interest, options.cluster, admission)
    workings.start_soon(peering.run)
    return peering


class Peering:
    """The connections from and to other servers.

    Args:
        port: The bound peer port.
        owned: Names the server that has a partition.
        messages: Lead to the other servers.
        cluster: The settings.
        admission: Admits the newcomers that are taken, and passes the others to this.
    """

    def __init__(
        self,
        port: PeerSocket,
        owned: OwnedPartitions,
        messages: Messages,
        cluster: Cluster,
        admission: Admission,
    ) -> None:
        node = port.name
        self._keys = Keys(node, messages, cluster.peer_secret, port.serves)
        self._admission = admission
        dialer = Dialer(self._keys, port.dial or connected, port.clock)
        self.splices: Splices = Splices(
            node, owned, self._keys, admission.signpost, admission.carried, admission.pending.aside, dialer
        )
        self._welcome: Callable[[Newcomer], object] = lambda newcomer: None
        gate = PeerGate(node, self._keys.own, port.clock, trio.current_time)
        self.port: PeerPort = PeerPort(
            port.sock, gate, lambda partition: owned.holder_of(partition) == node, self._has_room, self._takes
        )
        admission.splices = self.splices

    async def run(self) -> None:
        """Keep keys and connections, until cancelled."""
        async with ProtectedNursery() as nursery:
            nursery.start_soon(self._keys.run, again=True)
            nursery.start_soon(self.splices.watch, again=True)

    async def take(self, welcome: Callable[[Newcomer], object]) -> None:
        """Take newcomers of other servers, until cancelled."""
        self._welcome = welcome
        await self.port.run()

    async def _has_room(self, newcomer: Newcomer) -> bool:
        """Wait for a moment until a newcomer of another server can be under way here; return whether it can.

        It refuses newcomers whose request does not come. The other server asks again, and sends no more for now.
        """
        pending = self._admission.pending
        if pending.has_room():
            return True
        pending.make_room()
        newcomer.limit(inf)
        with trio.move_on_after(ROOM_WITHIN):
            async with pending.aside(newcomer):
                pass
            return True
        return False

    def _takes(self, newcomer: Newcomer) -> None:
        newcomer.since = trio.current_time()  # its request comes once the other server has heard that it is taken
        self._welcome(newcomer)
