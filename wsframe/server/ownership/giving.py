"""Partitions that a server gives to another one while it serves: for symmetry, when asked to, and before it ends.

A partition leaves in one step, as in a rolling restart: newcomers wait for the next owner, all clients are closed
1012, each ``running()`` is left, and only then is the lease released, for the server that is to have it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final

import trio

from wsframe.connection.reactor import Reactor
from wsframe.hooks.listener import Listener
from wsframe.log import Log, log_for
from wsframe.server.departure import planned
from wsframe.server.handover.predecessor import leave_lives
from wsframe.server.ownership.other_servers import poorest, preferred
from wsframe.server.ownership.owned_partitions import OwnedPartitions
from wsframe.user_code.protected_nursery import ProtectedNursery

__all__ = ["Giving"]

logger: Log = log_for(__name__)

EVERY: Final = 1.0
"""Seconds between two partitions that go for symmetry."""
UNEVEN: Final = 2
"""A server gives a partition if it has this many more than another."""
ASKED_FOR: Final = 900.0
"""The most seconds for which a server that was asked to rebalance gives away partitions with clients, until it has as
many as others."""
FOLLOWED: Final = 10.0
"""Seconds in which clients follow their partition to another server."""
AHEAD: Final = 0.05
"""Seconds between the report to the other servers that a partition goes, and its first step."""
LEAVE_WITHIN: Final = 10.0
"""Seconds in which the lives of a partition end, beyond the time that their clients have for closing."""
END_WITHIN: Final = 2.0
"""Seconds for lives that did not end in time and were cancelled."""


class Giving:
    """Gives partitions away.

    Args:
        owned: The partitions of this server.
        reactor: Has the clients.
    """

    def __init__(self, owned: OwnedPartitions, reactor: Reactor) -> None:
        self._owned = owned
        self._reactor = reactor
        self._rebalance_until = 0.0
        self._followed: dict[int, tuple[float, str]] = {}
        """When partitions with clients were given to which server, which does not count these clients yet."""
        owned.reports.asked_to_share = self._share_clients

    def rebalance(self) -> None:
        """Have the servers share out their partitions, also those with clients, until each has the same number."""
        self._share_clients()
        self._owned.reports.tell(rebalance=True)

    def _share_clients(self) -> None:
        self._rebalance_until = trio.current_time() + ASKED_FOR

    async def run(self) -> None:
        """Give one partition a second to a server that has fewer, until cancelled."""
        while True:
            await trio.sleep(EVERY)
            if not self._owned.leaving:
                await self._share_one()

    async def _share_one(self) -> None:
        owned = self._owned
        poor = poorest([one for one in owned.other_servers.all() if not one.leaving])
        if poor is None or await self._share_crowd():
            return
        if len(owned.here) - len(poor.held) < UNEVEN:
            if not self._followed:  # else clients that are on their way decide whether it goes on
                self._rebalance_until = 0.0
            return
        for partition in self._shareable():
            taker = poorest(owned.other_servers.takers(partition))
            if taker is not None and len(owned.here) - len(taker.held) >= UNEVEN:
                await self.give(partition, taker.node)
                return

    async def _share_crowd(self) -> bool:
        """If asked to, give a partition with clients to a server that has fewer of these; return whether one is given.

        Partitions without clients even out the number of partitions, and leave a server that has started without work.
        """
        if trio.current_time() >= self._rebalance_until:
            self._followed.clear()
            return False
        crowds, now = self._owned.leased.crowds(), trio.current_time()
        self._followed = {one: (at, to) for one, (at, to) in self._followed.items() if at > now - FOLLOWED}
        coming = Counter(to for _, to in self._followed.values())
        for partition in sorted(crowds, key=crowds.__getitem__):
            takers = self._owned.other_servers.takers(partition)
            taker = min(takers, key=lambda one: (one.busy + coming[one.node], one.node), default=None)
            if taker is not None and len(crowds) - taker.busy - coming[taker.node] >= UNEVEN:
                self._followed[partition] = now, taker.node
                await self.give(partition, taker.node)
                return True
        return False

    def _shareable(self) -> Iterable[int]:
        """Return partitions without clients, those without a life first; if asked to, then those with clients."""
        lives = {one: len(self._owned.leased.lives(one)) for one in self._owned.here}
        crowds = self._owned.leased.crowds()
        asked = trio.current_time() < self._rebalance_until
        shareable = lives if asked else lives.keys() - crowds.keys()
        return sorted(shareable, key=lambda one: (crowds.get(one, 0), lives[one]))

    async def give(self, partition: int, to: str) -> None:
        """End the lives of a partition, and give it to another server; lives that do not end in time are cancelled."""
        owned = self._owned
        lease = owned.here.get(partition)
        if lease is None:
            return
        if to:  # the other servers have their newcomers wait before this one takes none any more
            owned.reports.tell(given={partition: to})
            await trio.sleep(AHEAD)
        if owned.here.get(partition) is not lease:
            return
        owned.close(partition, to)
        lives = tuple(owned.leased.lives(partition))
        with trio.move_on_after(LEAVE_WITHIN + max((life.timeouts.close for life in lives), default=0.0)):
            await leave_lives(lives, self._reactor, nowhere, None, partition)
        if owned.here.get(partition) is lease:
            await self._cancel([life for life in lives if not life.ended.happened])
        if owned.here.get(partition) is lease:  # else it is lost, and can be here again
            await owned.release([partition], {partition: to} if to else {})

    async def _cancel(self, lives: Collection[Listener]) -> None:
        """End lives as the loss of their lease would."""
        for life in lives:
            logger.warning("%r does not end in time: its hooks are cancelled", life, kind="slow")
            life.ownership_guard.end()
        with trio.move_on_after(END_WITHIN):
            for life in lives:
                await life.ended.wait()

    def takers(self, partition: int) -> list[str]:
        """Return the servers that would take a partition."""
        return [one.node for one in self._owned.other_servers.takers(partition)]

    async def leave_all(self, seconds: float) -> None:
        """Give every partition that another server would take to one, in jittered order over this many seconds."""
        owned = self._owned
        owned.leaving = True
        owned.reports.tell()
        going = {one: preferred(one, names) for one in owned.here if (names := self.takers(one))}
        busy = [one for one in going if owned.leased.lives(one)]
        empty = {one: to for one, to in going.items() if one not in busy}
        await owned.release(list(empty), empty)
        begun = trio.current_time()
        groups = [[one] * max(1, sum(life.seats.count for life in owned.leased.lives(one))) for one in busy]
        async with ProtectedNursery() as nursery:
            for at, batch in planned(groups, seconds):
                await trio.sleep_until(begun + at)
                for partition in dict.fromkeys(batch):
                    nursery.start_soon(self.give, partition, going[partition])

    async def return_all(self) -> None:
        """Give back all partitions, whose lives have ended."""
        self._owned.leaving = True
        here = list(self._owned.here)
        await self._owned.release(here, {one: preferred(one, names) for one in here if (names := self.takers(one))})


def nowhere(life: object) -> None:
    """Return no address: lives do not go to another machine."""
