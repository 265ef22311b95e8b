"""A cluster in one process: several servers and the relay between them, with faults that a seed decides.

The servers are the production servers of the testing kit, and the relay is the relay of ``wsframe serve --workers``;
only the sockets between them are simulated. With trio's autojump clock an hour of faults takes seconds, and the same
seed gives the same faults at the same times.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from math import inf
from random import Random
from typing import Literal, Unpack, get_args

import trio

from wsframe.backplane.hub import Hub
from wsframe.backplane.queue import LIMIT
from wsframe.backplane.relay.backplane import RelayBackplane
from wsframe.backplane.relay.stream import WriteTurn
from wsframe.backplane.relay.worker import RelayWorker
from wsframe.doorbell import check_trio
from wsframe.resources.routing.registry import Registry
from wsframe.resources.server import Server
from wsframe.server.options import ServeKeywords
from wsframe.testing.client import MemoryClient
from wsframe.testing.kit import ClientOptions, Kit, kit_on, refuse_network
from wsframe.testing.memory_sockets import MemoryNetwork
from wsframe.testing.simulated_network import SimulatedLink
from wsframe.testing.simulated_peers import PeerNetwork
from wsframe.user_code.errors import only_leaf

__all__ = ["Cluster", "Fault", "Node", "open_cluster"]

Fault = Literal["cut", "stall", "crash", "relay"]
"""A kind of fault: a node loses its links, they stand still, a node is killed, the relay is killed."""

SWEEP = 5.0
"""Seconds between two looks of the relay for histories that are too old."""
LONGEST_FAULT = 5.0
"""Seconds until a random fault is over."""
CALM = 2.0
"""Seconds in which a cluster has found together after its last fault."""


class SimulatedRelay:
    """The relay of a cluster; all that it knows is gone when it is killed."""

    def __init__(self, nursery: trio.Nursery, random: Random) -> None:
        self._nursery = nursery
        self.random = random
        self._links: list[SimulatedLink] = []
        self._started = 0
        self._hub: Hub | None = None
        self._turn = WriteTurn()
        self.start()

    @property
    def up(self) -> bool:
        """Whether it runs."""
        return self._hub is not None

    def start(self) -> None:
        """Start it, with an empty memory."""
        if self._hub is None:
            self._hub = Hub(trio.current_time, self._microseconds, forgetful=self._started > 0)
            self._started += 1

    def kill(self) -> None:
        """End it at once: all links break, and bytes on their way are gone."""
        self._hub = None
        for link in self._links:
            link.cut()
        self._links.clear()

    def connect(self) -> SimulatedLink:
        """Connect a node.

        Raises:
            OSError: If the relay does not run.
        """
        if self._hub is None:
            raise ConnectionRefusedError("the simulated relay does not run")
        link = SimulatedLink(self.random)
        self._links = [one for one in self._links if not one.broken]
        self._links.append(link)
        self._nursery.start_soon(RelayWorker(self._hub, LIMIT, self._turn).serve, link.relay)
        return link

    async def sweep(self) -> None:
        """Forget old histories from time to time, until cancelled."""
        while True:
            await trio.sleep(SWEEP)
            if self._hub is not None:
                self._hub.sweep()

    def _microseconds(self) -> int:
        return int(trio.current_time() * 1_000_000)


class Node:
    """One server of a cluster; made by :func:`open_cluster`."""

    def __init__(
        self,
        number: int,
        make: Callable[[int], Registry],
        relay: SimulatedRelay,
        peers: PeerNetwork,
        options: ServeKeywords,
    ) -> None:
        self.number = number
        """0 for the first node."""
        self._make = make
        self._relay = relay
        self._peers = peers
        self._options = options
        self._kit: Kit | None = None
        self._link: SimulatedLink | None = None
        self._cut = False
        self._ending = trio.Event()
        self._ended = trio.Event()
        self._ended.set()

    def __repr__(self) -> str:
        return f"<Node {self.number}{'' if self.up else ', down'}>"

    @property
    def up(self) -> bool:
        """Whether it serves."""
        return self._kit is not None

    @property
    def server(self) -> Server:
        """Its server.

        Raises:
            RuntimeError: While the node is down.
        """
        return self._served().server

    async def connect(self, path: str = "/", **options: Unpack[ClientOptions]) -> MemoryClient:
        """Connect a client to this node, as :meth:`Kit.connect` does.

        Raises:
            RuntimeError: While the node is down.
        """
        return await self._served().connect(path, **options)

    def cut(self) -> None:
        """Take its links to the others away, until :meth:`join`; its clients stay.

        The connections that it carries to other nodes, and they to it, stand still: no byte of them is lost.
        """
        self._cut = True
        self._peers.hold(self.number, inf)
        if self._link is not None:
            self._link.cut()

    def join(self) -> None:
        """Let it reach the others again."""
        self._cut = False
        self._peers.let_go(self.number)

    def stall(self, seconds: float) -> None:
        """Have its links to the others carry nothing for a time; no byte is lost."""
        self._peers.hold(self.number, trio.current_time() + seconds)
        if self._link is not None:
            self._link.stall(trio.current_time() + seconds)

    async def crash(self) -> None:
        """End it at once: connections are reset, messages that it has not sent are gone.

        Its hooks are cancelled, so their ``finally`` blocks run, which those of a killed process do not. A node that is
        down stays down.
        """
        if self._kit is not None:
            self._cut = True
            if self._link is not None:
                self._link.end()
            self._kit.reset_all()
            self._peers.reset(self.number)
            self._kit.server.hurry()
            await self.stop()
            self.join()

    async def stop(self) -> None:
        """End it in order: its clients get their close frames."""
        self._ending.set()
        await self._ended.wait()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until it is stopped or crashes."""
        self._ending, self._ended = trio.Event(), trio.Event()
        backplane = RelayBackplane("", connect=self._dial, clock=trio.current_time, random=self._relay.random)
        options: ServeKeywords = {**self._options, "backplane": backplane}
        network = MemoryNetwork()
        network.listener.peer_port = self._peers.port_of(self.number, network)
        try:
            async with kit_on(network, self._make(self.number), "/", options) as kit:
                self._kit = kit
                task_status.started()
                await self._ending.wait()
        finally:
            self._kit = None
            self._ended.set()

    def _served(self) -> Kit:
        if self._kit is None:
            raise RuntimeError(f"node {self.number} is down: start it again with cluster.start(node)")
        return self._kit

    async def _dial(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if self._cut:
            raise TimeoutError("the simulated link is cut")
        self._link = self._relay.connect()
        return self._link.node


class Cluster:
    """Servers with a relay between them; made by :func:`open_cluster`."""

    def __init__(self, nodes: list[Node], relay: SimulatedRelay, random: Random, nursery: trio.Nursery) -> None:
        self.nodes = nodes
        """The nodes, by number."""
        self.random = random
        """The source of all chance in the cluster; take yours from it too, and the seed decides about that as well."""
        self._relay = relay
        self._nursery = nursery
        self._faults = Random(random.getrandbits(64))  # of its own: others draw in the order in which tasks run

    async def start(self, node: Node) -> None:
        """Start a node that is down, as a new process: nothing is left of the former one."""
        if not node.up:
            await self._nursery.start(node.run)

    def kill_relay(self) -> None:
        """End the relay at once; histories, positions and leases are gone."""
        self._relay.kill()

    def start_relay(self) -> None:
        """Start the relay again; it remembers nothing."""
        self._relay.start()

    async def disturb(
        self, seconds: float, kinds: Collection[Fault] = get_args(Fault), *, spare: Collection[Node] = ()
    ) -> None:
        """Cause faults at random times, end all of them, and wait until the nodes have found together again.

        Args:
            seconds: The time in which faults begin.
            kinds: The kinds of faults, of which each is as likely as the others.
            spare: Nodes that do not crash.
        """
        with trio.move_on_after(seconds):
            while True:
                await trio.sleep(self._faults.uniform(0, LONGEST_FAULT))
                kind, node = self._faults.choice(list(kinds)), self._faults.choice(self.nodes)
                if kind == "crash" and node in spare:
                    continue
                self._nursery.start_soon(self._cause, kind, node, self._faults.uniform(0, LONGEST_FAULT))
        await trio.sleep(LONGEST_FAULT)
        await self.settle()

    async def settle(self) -> None:
        """Wait until nodes that can reach each other have found together."""
        await trio.sleep(CALM)

    async def _cause(self, kind: Fault, node: Node, seconds: float) -> None:
        """Cause a fault, and end it after this many seconds."""
        if kind == "stall":
            node.stall(seconds)
        elif kind == "cut":
            node.cut()
            await trio.sleep(seconds)
            node.join()
        elif kind == "relay":
            self.kill_relay()
            await trio.sleep(seconds)
            self.start_relay()
        else:
            await node.crash()
            await trio.sleep(seconds)
            await self.start(node)


@asynccontextmanager
async def open_cluster(
    make: Callable[[int], Registry], *, nodes: int = 2, seed: int = 0, **options: Unpack[ServeKeywords]
) -> AsyncIterator[Cluster]:
    """Run several servers and the relay between them while the body of an ``async with`` runs.

    Use trio's autojump clock, and nothing takes real time. The same seed gives the same faults.

    Args:
        make: Makes the registry of a node, from its number: with new resources, as another process has them. It is
            called again when a node is started again.
        nodes: How many servers there are.
        seed: Decides about delays and faults.
        options: The options of each server, as for :func:`open_kit`.

    Yields:
        The :class:`Cluster`.

    Raises:
        TypeError: For an option that names a network, or a ``backplane``, which the cluster has.
    """
    check_trio()
    refuse_network(options)
    if "backplane" in options:
        raise TypeError("backplane= is given to the servers by the cluster: leave it out")
    random = Random(seed)
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery, trio.open_nursery() as connections:
            relay = SimulatedRelay(connections, random)
            nursery.start_soon(relay.sweep)
            peers = PeerNetwork()
            nursery.start_soon(peers.run)
            members = [Node(number, make, relay, peers, options) for number in range(nodes)]
            cluster = Cluster(members, relay, random, nursery)
            for node in cluster.nodes:
                await cluster.start(node)
            await cluster.settle()
            try:
                yield cluster
            except Exception as error:
                failure = error
            for node in cluster.nodes:
                node.join()
                await node.stop()
            connections.cancel_scope.cancel()
            nursery.cancel_scope.cancel()
    except ExceptionGroup as group:
        raise failure or only_leaf(group) from None
    if failure is not None:
        raise failure
