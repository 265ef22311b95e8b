"""A worker's part in a rolling restart: it leaves its partitions to the next generation, or begins those of the last.

The old worker, once it has been told to leave: it accepts nobody any more, newcomers on their way get in, and then
its partitions are left in jittered order, each in one step (``predecessor``). Those without a life are over at once.
The clients of resources that live in every worker are handed over as well, to the object of the new worker, or leave
one by one. Then it ends like any server that drains.

The new worker has started no life of its slot. It is ready and accepts; newcomers of a partition wait until that has
been begun, by an offer of the old worker (``successor``) or by the supervisor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

import trio

from wsframe.connection.link import Link
from wsframe.connection.reactor import Reactor
from wsframe.exceptions import LivesElsewhere
from wsframe.hooks.hand_over import RESTART
from wsframe.hooks.listener import Listener
from wsframe.hooks.listeners import Roster
from wsframe.hooks.paired_lives import address_of, join_at
from wsframe.http.responses import Reject
from wsframe.resources.handing_over import hands_over
from wsframe.server.capacity import Places
from wsframe.server.departure import depart, planned
from wsframe.server.handover.predecessor import leave_lives
from wsframe.server.handover.successor import Successor
from wsframe.server.handover.unanswered import Arrivals
from wsframe.server.ownership.owned_partitions import OwnedPartitions
from wsframe.server.posting import Posting
from wsframe.user_code.protected_nursery import ProtectedNursery
from wsframe.workers.partitions import EVERYWHERE, partitions_of
from wsframe.workers.socket_exchange import OtherSideGone, SocketExchange
from wsframe.workers.worker import Worker

__all__ = ["Generation"]


class Generation:
    """One worker, between the generation before it and the one after.

    Args:
        worker: The worker.
        roster: Its lives.
        reactor: Its clients.
        places: Their places.
        posting: Takes posts of other workers.
        owned: The leases of its partitions; None where no other machine can have them.
    """

    def __init__(
        self,
        worker: Worker,
        roster: Roster,
        reactor: Reactor,
        places: Places,
        posting: Posting,
        owned: OwnedPartitions | None = None,
    ) -> None:
        self._worker = worker
        self._roster = roster
        self._reactor = reactor
        self._places = places
        self._posting = posting
        self._owned = owned
        self._lineage: SocketExchange | None = None
        self.arrivals: Arrivals = Arrivals()
        """Newcomers that the generation before has not answered."""

    def lineage(self) -> SocketExchange | None:
        """Return the way to the generation after this one, if there is one."""
        if self._lineage is None and self._worker.giving is not None:
            self._lineage = SocketExchange(self._worker.giving)
        return self._lineage

    def end_lineage(self) -> None:
        """Tell the next generation that nothing more comes by the lineage."""
        if self._lineage is not None:
            self._lineage.close()

    def begin(self, partitions: Iterable[int]) -> None:
        """Begin partitions that no other process has any more."""
        fresh = self._roster.placement.begin(partitions)
        if self._owned is not None:
            self._owned.want(fresh)  # they begin with their leases
            return
        for partition in fresh:
            self._posting.begin(partition)
        if fresh:
            self._roster.update()

    async def _begin_offered(self, partition: int) -> None:
        """Begin a partition whose lives are offered.

        Raises:
            OtherSideGone: If another machine has it by now.
        """
        if partition == EVERYWHERE:  # has an object in each worker, and no lease
            return
        self.begin([partition])
        if self._owned is not None:
            try:
                await self._owned.settle(partition)
            except (LivesElsewhere, Reject) as error:
                raise OtherSideGone(str(error)) from None

    async def _release(self, partitions: Collection[int]) -> None:
        """Give back the leases of partitions without lives, for the next generation."""
        if self._owned is not None:
            await self._owned.release(partitions, claimed=True)

    async def follow(self) -> None:
        """Take the offers of the generation before, if there is one."""
        if self._worker.taking is not None:
            join = partial(join_at, self._roster)
            take = self.arrivals.take
            successor = Successor(self._reactor, self._places, self._begin_offered, join, take)
            try:
                await successor.run(SocketExchange(self._worker.taking))
            finally:
                self.arrivals.close()

    async def leave(self, seconds: float, say_over: Callable[[Collection[int]], object]) -> None:
        """Leave all partitions to the next generation.

        Args:
            seconds: The time until the last one is left.
            say_over: Tells the supervisor that partitions are over.
        """
        if self._owned is not None:
            self._owned.leaving = True
        by_partition: dict[int, list[Listener]] = {}
        for life in self._roster.listeners():
            by_partition.setdefault(life.partition, []).append(life)
        shared = by_partition.pop(EVERYWHERE, [])
        self._roster.placement.leave(EVERYWHERE)
        empty = [one for one in partitions_of(self._worker.slot, self._worker.count) if one not in by_partition]
        for one in empty:
            self._end(one)
        await self._release(empty)
        say_over(empty)
        lineage = self.lineage()
        groups = [[one] * sum(len(life.clients) for life in lives) for one, lives in by_partition.items()]
        plan = planned(groups, seconds)
        plan.insert(0, (0.0, [one for one, group in zip(by_partition, groups, strict=True) if not group]))
        begun = trio.current_time()

        async def leave_one(partition: int) -> None:
            self._end(partition)
            address = partial(address_of, self._roster)
            left = partial(self._release, [partition])
            await leave_lives(by_partition[partition], self._reactor, address, lineage, partition, left)
            say_over([partition])

        async with ProtectedNursery() as nursery:
            nursery.start_soon(self._leave_shared, shared, seconds, lineage)
            for at, batch in plan:
                await trio.sleep_until(begun + at)
                for partition in dict.fromkeys(batch):
                    nursery.start_soon(leave_one, partition)

    def _end(self, partition: int) -> None:
        self._roster.placement.leave(partition)
        self._posting.end(partition)

    async def _leave_shared(self, lives: Sequence[Listener], seconds: float, lineage: SocketExchange | None) -> None:
        """Leave resources that live in every worker: the new one has lives of them already."""
        moving = [life for life in lives if lineage is not None and hands_over(life.resource)]
        staying = [life for life in lives if life not in moving]
        for life in staying:
            life.hand_over_steps.leaves = True  # nobody moves there any more, and would stay
        async with ProtectedNursery() as nursery:
            if moving:
                address = partial(address_of, self._roster)
                nursery.start_soon(leave_lives, moving, self._reactor, address, lineage, EVERYWHERE)
            await self._send_away(staying, seconds)

    async def _send_away(self, lives: Iterable[Listener], seconds: float) -> None:
        """Close the clients of lives, each at a time of its own."""
        links = self._reactor.links
        clients = [client._link.fd for life in lives for client in life.clients]
        here = [link for fd in clients if (link := links.get(fd)) is not None]

        def send_away(batch: Collection[Link]) -> None:
            self._reactor.close_all(batch, *RESTART)

        await depart([[link] for link in here], seconds, send_away, lambda link: links.get(link.fd) is link)
