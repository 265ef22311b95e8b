"""Splices: newcomers whose resource lives on another machine, which this server carries there.

A proxy before the servers can make them rare. If it says that it can, by a header field of a request that comes from a
trusted proxy, the answer names the owner, and the proxy asks there (nginx: ``X-Accel-Redirect``). Splices remain: the
server that has accepted the newcomer dials the peer port of the owner (``peer_port``), which answers whether it has the
partition before it gets a byte of the client. If not, this server asks the engine for the present owner. One that
refuses as well may be in the middle of a restart: it is asked again for some seconds, and then the answer is 503. An
owner that leaves the partition after it has accepted ends without an answer, and the present owner
gets the same request. While nobody has a partition, it is given to another server, or its owner is out of reach,
newcomers wait here for the next owner. From then on a pump carries the connection.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from math import inf
from random import uniform
from typing import Final

import trio

from wsframe.http.handshake import wants_upgrade
from wsframe.http.responses import Reject, retry_later
from wsframe.log import Log, log_for
from wsframe.net.client_facts import ClientFacts
from wsframe.net.pump import Pump
from wsframe.net.sockets import has_unread, wait_readable
from wsframe.net.transport import Transport
from wsframe.server.newcomers.newcomer import Newcomer
from wsframe.server.ownership.owned_partitions import OwnedPartitions
from wsframe.server.passing.carried import Carried
from wsframe.server.passing.destination import Signpost
from wsframe.server.passing.forwarding import receive_head
from wsframe.server.peers.dialing import Dialer, OutOfReach
from wsframe.server.peers.keys import Keys, peer_address
from wsframe.workers.partitions import EVERYWHERE

__all__ = ["MOST_SPLICED", "Splices"]

logger: Log = log_for(__name__)

MOST_SPLICED: Final = 20_000
"""Connections to one server: there are 28 232 local ports for them."""
MOST_WAITING: Final = 2000
"""Newcomers that wait for the engine or an owner without counting as pending."""
WITHIN: Final = 3.0
"""Seconds in which a newcomer that counts as pending has to find its owner; for others the time that is left for the
handshake is enough."""
PATIENCE: Final = 0.9
"""Share of the time for the handshake, after which it is too late for the answer of an owner."""
REDIAL: Final = 0.2, 0.8
"""The bounds of the random seconds until an owner out of reach is dialed again, or the next one."""
REFUSED_FOR: Final = 4.0
"""Seconds in which an owner that refuses a newcomer is asked again: a worker of it that restarts leaves a partition in
one or two."""
AGAIN: Final = 0.1
"""Seconds between two looks for the first owner of a partition."""
LOOK: Final = 1.0
"""Seconds between two looks whether the owners of the connections have changed."""
SHARE: Final = 0.2
"""The log warns when a larger share of newcomers is spliced."""
ENOUGH: Final = 50
"""The fewest newcomers for that warning."""
COUNTED_FOR: Final = 60.0
ASKS: Final = "x-wsframe-proxy"
"""The header field by which a proxy says that it asks the owner itself, and how."""
NGINX: Final = "nginx"
OWNER: Final = "X-Wsframe-Owner"
MOVED: Final = 1012, "resource moved"


class Splices:
    """The way of newcomers from this server to those of other machines.

    Args:
        node: The name of this server.
        owned: Names the server that has a partition.
        keys: The keys of peer ports.
        signpost: Names the partition of a newcomer.
        carried: The connections that this server carries.
        waits: Has a newcomer not count as pending while it waits.
        dialer: Asks the owners.
    """

    def __init__(
        self,
        node: str,
        owned: OwnedPartitions,
        keys: Keys,
        signpost: Signpost,
        carried: Carried,
        waits: Callable[[Newcomer], AbstractAsyncContextManager[None]],
        dialer: Dialer,
    ) -> None:
        self._node = node
        self._owned = owned
        self._keys = keys
        self._signpost = signpost
        self._carried = carried
        self._waits = waits
        self.dialer: Dialer = dialer
        self._waiting = 0
        """Newcomers that wait, and do not count as pending."""
        self._to: Counter[str] = Counter()
        """Connections by server, with those that may become some."""
        self._where: dict[Pump, tuple[int, str]] = {}
        """The partition and the server of each."""
        self._full: set[str] = set()
        """Servers to which no more connections are possible."""
        self._here = self._away = 0
        """Newcomers of the last minute that belonged here, and that did not."""
        self.spliced: int = 0
        """Newcomers carried to other machines so far."""

    def __len__(self) -> int:
        """The number of connections."""
        return len(self._where)

    def is_here_at_once(self, newcomer: Newcomer) -> bool:
        """Return whether a newcomer belongs here, as far as the bytes show that are here; they stay in its socket."""
        if newcomer.spliced:
            return True
        partition = newcomer.partition
        if partition is None and isinstance(newcomer.sock, socket.socket):
            with suppress(OSError):
                received = newcomer.sock.recv(self._signpost.most, socket.MSG_PEEK)
                partition = self._signpost.partition_of(newcomer.place, newcomer.host, received)
        if partition is None or not self._is_here(partition):
            return False
        self._here += 1
        return True

    def _is_here(self, partition: int) -> bool:
        return self._is_begun_here(partition) or self._owned.holder_of(partition) == self._node

    def _is_begun_here(self, partition: int) -> bool:
        """Return whether newcomers wait here, also for the generation before, which has the partition and no port."""
        place = self._signpost.placement
        return partition == EVERYWHERE or (place.is_away(partition) and not place.has_left(partition))

    async def takes(self, newcomer: Newcomer) -> bool:
        """Carry a newcomer to its owner; return False if it belongs here, or nobody knows where.

        Raises:
            Reject: 503 if its owner does not take it; another status for a wrong request.
            MalformedProxyHeader: For a wrong PROXY header.
            OSError: If its TLS handshake fails, or its connection breaks.
        """
        if newcomer.spliced or newcomer.head is not None:
            return False
        if not await receive_head(newcomer, self._signpost):
            return True
        partition = newcomer.partition
        assert partition is not None
        if self._is_here(partition):
            self._here += 1
            return False
        newcomer.head_received = True  # from now on it waits for us
        left = newcomer.scope.deadline - trio.current_time()
        async with self._aside(newcomer) as patient:
            with trio.move_on_after(PATIENCE * left):
                return await self._carries(newcomer, partition, patient=patient)
        raise retry_later("its owner does not answer")

    @asynccontextmanager
    async def _aside(self, newcomer: Newcomer) -> AsyncIterator[bool]:
        """Have a newcomer not count as pending while it waits for others, unless too many do already.

        Yields:
            Whether it does not count: then it can wait for long.
        """
        if self._waiting >= MOST_WAITING:
            yield False
            return
        self._waiting += 1
        try:
            async with self._waits(newcomer):
                yield True
        finally:
            self._waiting -= 1

    async def _carries(self, newcomer: Newcomer, partition: int, *, patient: bool) -> bool:
        """Carry a newcomer whose request is whole; return False if it belongs here, or nobody knows where."""
        early, facts = newcomer.early, newcomer.facts
        node = await self._find(partition, patient=patient)
        if not node:
            self._here += 1
            return False
        self._signpost.check(newcomer)
        self._send_back(newcomer, facts.host, node)
        self._away += 1
        until = inf
        while True:
            transport = None
            try:
                if node:
                    transport = await self._dial(node, partition, facts, patient=patient)
                out_of_reach = False
            except OutOfReach:
                out_of_reach = patient
            if transport is not None and await self._is_answered(newcomer, node, transport, early, patient=patient):
                self._carry(newcomer, transport, partition, node)
                return True
            if out_of_reach:  # if it has died, another one has the partition within a lease and a second
                await trio.sleep(uniform(*REDIAL))
            elif until == inf:  # the table is old, or the partition has left its owner in the meantime
                until = trio.current_time() + (REFUSED_FOR if patient else 0.0)
            elif trio.current_time() < until:  # a worker leaves the partition, and its successor has not begun it
                await trio.sleep(uniform(*REDIAL))
            else:
                raise retry_later("its owner does not take it")
            node = await self._find(partition, patient=patient, again=True)
            if self._is_here(partition):
                return False

    async def _is_answered(
        self, newcomer: Newcomer, node: str, transport: Transport, early: bytes, *, patient: bool
    ) -> bool:
        """Give an owner the request; return False if it ends without an answer: it has left the partition since.

        Only a handshake can be asked again, and only a newcomer that does not count as pending waits for its answer,
        as long as it keeps none of the others from that. After half of the time that is left it is carried without one.
        """
        taken = False
        try:
            await transport.send_all(early)
            assert transport.sock is not None
            patient = patient and self._waiting < MOST_WAITING // 2
            taken = not patient or newcomer.request is None or not wants_upgrade(newcomer.request.headers)
            if not taken:
                with trio.move_on_after((trio.current_effective_deadline() - trio.current_time()) / 2) as waiting:
                    await wait_readable(transport.sock)
                taken = waiting.cancelled_caught or has_unread(transport.sock)
        except OSError:
            pass
        finally:
            if not taken:
                transport.close()
                self._count_down(node)
        return taken

    def _send_back(self, newcomer: Newcomer, host: str, node: str) -> None:
        """Have the proxy of a newcomer ask its owner, if it can.

        Args:
            newcomer: The newcomer, with its request.
            host: The address of its peer.
            node: Its owner.

        Raises:
            Reject: The answer for the proxy.
        """
        request, address = newcomer.request, self._keys.address_for(node)
        if (
            request is not None
            and address
            and request.headers.get(ASKS) == NGINX
            and self._signpost.proxies.trusts(host)
        ):
            raise Reject(503, [("X-Accel-Redirect", "@wsframe_owner"), (OWNER, address)], "another server has it")

    async def _find(self, partition: int, *, patient: bool, again: bool = False) -> str:
        """Return the server that has a partition, and a peer port; ``""`` if that is this one, or is not known."""
        if self._is_begun_here(partition):
            return ""
        node = "" if again else self._owned.holder_of(partition)
        if not node:
            with trio.move_on_after(inf if patient else WITHIN) as looking:
                node = await self._owned.look_again(partition)
                while patient and not node and self._is_awaited():  # nobody has it yet
                    await trio.sleep(AGAIN)
                    node = await self._owned.look_again(partition)
            if looking.cancelled_caught:
                raise retry_later("its owner is not known")
        return "" if node == self._node or peer_address(node) is None else node

    def _is_awaited(self) -> bool:
        """Return whether a partition that nobody has can find an owner soon."""
        return self._owned.reachable and not self._owned.denied and not self._owned.leaving

    async def _dial(self, node: str, partition: int, facts: ClientFacts, *, patient: bool) -> Transport | None:
        """Connect to an owner; return None if it does not have the partition.

        Raises:
            Reject: 503 if no more connections to it are possible, or too many newcomers wait for it.
            OutOfReach: If it cannot be connected to.
        """
        if self._to[node] >= MOST_SPLICED or self._carried.full:
            self._complain(node)
            raise retry_later("too many connections to its owner")
        self._to[node] += 1
        transport = None
        try:
            has = lambda: self._owned.holder_of(partition) in ("", node)  # noqa: E731
            transport = await self.dialer.dial(node, partition, facts, has, patient=patient)
        finally:
            if transport is None:
                self._count_down(node)
        return transport

    def _complain(self, node: str) -> None:
        """Log once that no more connections to a server are possible, until there are fewer again."""
        if node not in self._full:
            self._full.add(node)
            logger.error(
                "%d connections are carried to %s, and no more can be: have the proxy in front ask the owner itself",
                self._to[node], node,
            )  # fmt: skip

    def _carry(self, newcomer: Newcomer, transport: Transport, partition: int, node: str) -> None:
        if self._carried.departing:
            transport.close(reset=True)
            self._count_down(node)
            raise retry_later("server stopping")
        self.spliced += 1
        pump = self._carried.carry(newcomer, transport.release(), b"", partial(self._ended, node), beyond=True)
        if not pump.over:
            self._where[pump] = partition, node

    def _ended(self, node: str, pump: Pump) -> None:
        self._where.pop(pump, None)
        self._count_down(node)

    def _count_down(self, node: str) -> None:
        self._to[node] -= 1
        if self._to[node] < MOST_SPLICED // 2:
            self._full.discard(node)
        if not self._to[node]:
            del self._to[node]

    async def watch(self) -> None:
        """End the connections whose resource has moved, and warn of a balancer that sends many to the wrong server."""
        counted = trio.current_time()
        while True:
            await trio.sleep(LOOK)
            self._end_moved()
            if trio.current_time() >= counted + COUNTED_FOR:
                counted = trio.current_time()
                self._judge()

    def _end_moved(self) -> None:
        """End the connections to servers that have lost the partition: one that was cut off cannot say so itself."""
        owners = {partition: self._owned.holder_of(partition) for partition, _ in self._where.values()}
        moved = [pump for pump, (partition, node) in self._where.items() if owners[partition] not in ("", node)]
        self._carried.send_away(moved, *MOVED)

    def _judge(self) -> None:
        here, away = self._here, self._away
        self._here = self._away = 0
        if here + away >= ENOUGH and away > SHARE * (here + away):
            logger.warning(
                "%d of %d newcomers of the last minute live on other servers, and are carried there: nginx in front "
                "can ask their owner itself (X-Wsframe-Proxy: nginx; see 'Between machines' in the documentation)",
                away, here + away,
            )  # fmt: skip
