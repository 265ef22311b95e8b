"""Partitions that a server gives to another one while it serves: for symmetry, when asked to, and before it ends.

A partition leaves in one step, as in a rolling restart: newcomers wait for the next owner, all clients are closed
1012, each ``running()`` is left, and only then is the lease released, for the server that is to have it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import trio

from wsframe.connection.reactor import Reactor
from wsframe.log import Log, log_for
from wsframe.protected_nursery import ProtectedNursery
from wsframe.server.departure import planned
from wsframe.server.neighbors import poorest, preferred
from wsframe.server.predecessor import leave_lives
from wsframe.server.tenure import Tenure

__all__ = ["Giving"]

logger: Log = log_for(__name__)

EVERY: Final = 1.0
"""Seconds between two partitions that go for symmetry."""
UNEVEN: Final = 2
"""Partitions that a server has more than another before it gives one."""
ASKED_FOR: Final = 60.0
"""Seconds for which a server that was asked to rebalance gives away partitions with clients."""


class Giving:
    """Gives partitions away.

    Args:
        tenure: The partitions of this server.
        reactor: Has the clients.
    """

    def __init__(self, tenure: Tenure, reactor: Reactor) -> None:
        self._tenure = tenure
        self._reactor = reactor
        self._rebalance_until = 0.0
        tenure.reports.asked_to_share = self._share_clients

    def rebalance(self) -> None:
        """Have all servers of the service give away partitions, those with clients too, until all have as many."""
        self._share_clients()
        self._tenure.reports.tell(rebalance=True)

    def _share_clients(self) -> None:
        self._rebalance_until = trio.current_time() + ASKED_FOR

    async def run(self) -> None:
        """Give one partition a second to a server that has fewer, until cancelled."""
        while True:
            await trio.sleep(EVERY)
            if not self._tenure.leaving:
                await self._share_one()

    async def _share_one(self) -> None:
        tenure = self._tenure
        poor = poorest([one for one in tenure.neighbors.all() if not one.leaving])
        if poor is None or len(tenure.here) - len(poor.held) < UNEVEN:
            return
        for partition in self._shareable():
            taker = poorest(tenure.neighbors.takers(partition))
            if taker is not None and len(tenure.here) - len(taker.held) >= UNEVEN:
                await self.give(partition, taker.node)
                return

    def _shareable(self) -> Iterable[int]:
        """Return partitions without clients, those without a life first; if asked to, then those with clients."""
        lives = {one: self._tenure.holdings.lives(one) for one in self._tenure.here}
        clients = {one: sum(life.members.count for life in found) for one, found in lives.items()}
        most = float("inf") if trio.current_time() < self._rebalance_until else 0
        return sorted((one for one in lives if clients[one] <= most), key=lambda one: (clients[one], len(lives[one])))

    async def give(self, partition: int, to: str) -> None:
        """End the lives of a partition, and give it to another server."""
        tenure = self._tenure
        tenure.close(partition)
        await leave_lives(tuple(tenure.holdings.lives(partition)), self._reactor, nowhere, None, partition)
        await tenure.release([partition], {partition: to} if to else {})

    def takers(self, partition: int) -> list[str]:
        """Return the servers that would take a partition."""
        return [one.node for one in self._tenure.neighbors.takers(partition)]

    async def leave_all(self, seconds: float) -> None:
        """Give every partition that another server would take to one, in jittered order over so many seconds."""
        tenure = self._tenure
        tenure.leaving = True
        tenure.reports.tell()
        going = {one: preferred(one, names) for one in tenure.here if (names := self.takers(one))}
        busy = [one for one in going if tenure.holdings.lives(one)]
        empty = {one: to for one, to in going.items() if one not in busy}
        await tenure.release(list(empty), empty)
        begun = trio.current_time()
        groups = [[one] * max(1, sum(life.members.count for life in tenure.holdings.lives(one))) for one in busy]
        async with ProtectedNursery() as nursery:
            for at, batch in planned(groups, seconds):
                await trio.sleep_until(begun + at)
                for partition in dict.fromkeys(batch):
                    nursery.start_soon(self.give, partition, going[partition])

    async def return_all(self) -> None:
        """Give back all partitions, whose lives have ended."""
        self._tenure.leaving = True
        here = list(self._tenure.here)
        await self._tenure.release(here, {one: preferred(one, names) for one in here if (names := self.takers(one))})


def nowhere(life: object) -> None:
    """Return no address: lives do not go to another machine."""
