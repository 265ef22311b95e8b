"""The partitions that this server owns, from the request for their leases to their loss or return.

A server acquires the partitions of its slot that no other has: at once those that a newcomer asks for, or that another
one has given to it, and the rest after a moment, in which the server that is to have it comes first. The engine
decides about the owner of a partition: it grants one lease of each (``backplane/node_leases``), and a lease that is
over ends its lives before anything that has waited goes on.

A newcomer of a partition that nobody has waits until somebody has it; one of a partition that another server has is
refused 503, or passed on. Where the engine cannot be reached, it is refused 503 as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from random import uniform
from typing import Final, Protocol

import trio

from wsframe.backplane.boottime import boottime
from wsframe.backplane.interface import Lease
from wsframe.backplane.node_leases import Leases, NodeLeases
from wsframe.doorbell import Doorbell
from wsframe.exceptions import LivesElsewhere
from wsframe.hooks.leased_partitions import LeasedPartitions
from wsframe.http.responses import retry_later
from wsframe.log import Log, log_for
from wsframe.resources import ownership as seen
from wsframe.resources.topics.topics import Topics
from wsframe.server.ownership.other_servers import OtherServers, Report, preferred
from wsframe.server.ownership.reports import Reports
from wsframe.server.posting import Posting
from wsframe.user_code.errors import contain
from wsframe.user_code.protected_nursery import ProtectedNursery
from wsframe.workers.partitions import PARTITIONS, partitions_of
from wsframe.workers.placement import Placement

__all__ = ["OwnedPartitions", "clock_of"]

logger: Log = log_for(__name__)

KEYS: Final = [f"partition {partition} of {PARTITIONS}" for partition in range(PARTITIONS)]
PARTITION_OF: Final = {key: partition for partition, key in enumerate(KEYS)}
LOOK = 0.5
"""Seconds between two looks for partitions that nobody has, and between two requests for one that was refused."""
OFTEN = 0.05
"""The least seconds between two requests, however many newcomers ask."""
LISTEN = 0.5
"""Seconds in which a server that starts listens to the others before it acquires the partitions nobody asked for."""
SECOND = 0.25
"""Seconds for which a server leaves a free partition to its preferred owner."""
JITTER = 0.1
PATIENCE = 2.5
GOING = 0.05, 0.4
"""The bounds of the random seconds between two looks for the next owner of a partition: all newcomers that wait dial it
then."""
CLAIMED = 2.0
"""Seconds for which others leave a partition to the next generation of a worker."""


def clock_of(plane: object) -> Callable[[], float]:
    """Return the clock by which the leases of a backplane end."""
    clock: Callable[[], float] = getattr(plane, "clock", boottime)
    return clock


class FencingTokens(Protocol):
    """Numbers by partition."""

    def __getitem__(self, partition: int, /) -> int: ...
    def __setitem__(self, partition: int, token: int, /) -> None: ...


class OwnedPartitions:
    """The partitions of one server, and the servers that have the others.

    Args:
        leases: Grants them.
        topics: Lead to the other servers.
        placement: The slot of this process, and the partitions that another generation of it has.
        leased: The lives.
        posting: Takes the posts of other servers.
        update: Starts the lives of partitions that have begun.
        seconds: The length of a lease.
        tokens: By partition, of the leases by which a process of this service acts, in memory that outlives it.
    """

    def __init__(
        self,
        leases: Leases,
        topics: Topics,
        placement: Placement,
        leased: LeasedPartitions,
        posting: Posting,
        update: Callable[[], object],
        seconds: float,
        tokens: FencingTokens | None = None,
    ) -> None:
        self._topics = topics
        self._placement = placement
        self.leased: LeasedPartitions = leased
        self._posting = posting
        self._update = update
        self._seconds = seconds
        self._tokens: FencingTokens = [0] * PARTITIONS if tokens is None else tokens
        self._leases = NodeLeases(leases, self._lost, seconds=seconds, clock=clock_of(leases))
        self.other_servers: OtherServers = OtherServers(trio.current_time)
        self._slot: Final = frozenset(partitions_of(placement.slot, placement.count))
        self._here: dict[int, Lease] = {}
        self._closed: dict[int, str] = {}
        """Partitions that are being left, each with the server that is to have it, ``""`` for any: their newcomers wait
        for the next owner."""
        self._known: dict[int, str] = {}
        """The servers that the engine has named, each until the next request for its partition."""
        self._try_at: dict[int, float] = {}
        self._asked: set[int] = set()
        self._inherited: set[int] = set()
        """Partitions that the generation before has left, and that are to be acquired."""
        self._claims: dict[int, float] = {}
        self._losses = 0
        self._bell = Doorbell()
        self._answered = trio.Event()
        self.leaving: bool = False
        """Whether this server acquires no more."""
        self.reports: Reports = Reports(topics, self.other_servers, self._report)
        self.reports.given = self._bell.ring

    def __repr__(self) -> str:
        return f"<OwnedPartitions [partitions: {len(self._here)}]>"

    @property
    def node(self) -> str:
        """The name of this server."""
        return self._topics.interest.node

    @property
    def here(self) -> Mapping[int, Lease]:
        """The partitions that this server owns, each with the lease by which it began."""
        return self._here

    @property
    def reachable(self) -> bool:
        """Whether the engine can be reached."""
        return self._topics.up

    @property
    def stranded(self) -> bool:
        """Whether this server owns nothing, because the engine cannot be reached."""
        return not self._here and not self.reachable

    @property
    def denied(self) -> bool:
        """Whether this server owns nothing, because the engine grants no leases, for longer than after its start."""
        return not self._here and self._leases.fruitless > self._seconds + 1

    # The server that has a partition

    def holds(self, partition: int) -> bool:
        """Return whether this server acts for a partition now, and takes newcomers for it."""
        return partition in self._here and partition not in self._closed and self._leases.holds(KEYS[partition])

    def holder_of(self, partition: int) -> str:
        """Return the server that has a partition, as last heard; ``""`` if that is not known."""
        if self.holds(partition):
            return self.node
        name = self._claimed(partition) or ("" if self._goes(partition) else self._known.get(partition, ""))
        return "" if name == self.node else name

    def _goes(self, partition: int) -> bool:
        """Return whether a partition is on its way from one server to another."""
        return partition in self._closed or self.other_servers.meant_for(partition) != ""

    def _claimed(self, partition: int) -> str:
        """Return the server that says it has a partition, unless that is the generation before, which has left it."""
        return "" if partition in self._inherited else self.other_servers.holder(partition)

    async def look_again(self, partition: int) -> str:
        """Ask the engine for the server that has a partition, and acquire it if nobody has it.

        It waits for the next owner of a partition that is given away: the engine still names the last one.
        """
        while True:
            while self._goes(partition) and not self.holder_of(partition):  # noqa: ASYNC110
                await trio.sleep(uniform(*GOING))
            if self.holds(partition) or self._goes(partition) or self.leaving or not self.reachable:
                await trio.lowlevel.checkpoint()
                return self.holder_of(partition)
            self._asked.add(partition)
            self._bell.ring()
            with trio.move_on_after(PATIENCE):
                while partition in self._asked:
                    await self._answered.wait()
            if not self._goes(partition):
                return self.node if self.holds(partition) else self._known.get(partition, "")

    async def settle(self, partition: int) -> None:
        """Wait until this server has a partition.

        Raises:
            LivesElsewhere: If another one has it.
            Reject: 503 if the engine cannot be reached, or no server has it for long.
        """
        if self.holds(partition):
            return
        with trio.move_on_after(self._seconds + 1):
            while not self.holds(partition):
                if not self.reachable and partition not in self._closed:
                    raise retry_later("backplane out of reach")
                if self.denied:
                    raise retry_later("backplane grants no leases")
                holder = self._claimed(partition) or await self.look_again(partition)
                if self.other_servers.hears(holder):  # else it has died: its lease has an end
                    raise LivesElsewhere(f"the resource lives on {holder}")
                if not self.holds(partition):
                    await trio.sleep(LOOK / 5)
            return
        raise retry_later("no owner yet")

    # Acquiring

    async def run(self) -> None:
        """Acquire, renew and report, until cancelled."""
        async with ProtectedNursery() as nursery:
            nursery.start_soon(self._leases.run, again=True)
            nursery.start_soon(self.reports.run, again=True)
            nursery.start_soon(self._acquire_free, again=True)

    def want(self, partitions: Collection[int]) -> None:
        """Acquire partitions as soon as possible: the generation before has left them to this one."""
        self._inherited.update(partitions)
        self._asked.update(partitions)
        self._bell.ring()

    async def _acquire_free(self) -> None:
        await self.reports.until_reached()
        self.want(tokens_of_dead(self._tokens, self._slot, self._placement))
        listen_until = trio.current_time() + LISTEN
        while True:
            now = trio.current_time()
            with trio.move_on_at(min((at for at in self._try_at.values() if at > now), default=now + LOOK)):
                await self._bell.wait()
            if self._losses:
                logger.warning(
                    "the leases of %d partitions are lost: their resources have ended here", self._losses, kind="lost"
                )
                self._losses = 0
            if self.leaving or not self.reachable:
                continue
            try:
                await self._acquire_wanted(listening=trio.current_time() < listen_until)
            except NotImplementedError:
                logger.warning("this backplane grants no leases: each server has resources of its own")
                self._placement.leased = None
                self._update()
                await trio.sleep_forever()
            except Exception as error:  # one bad moment costs a look, not the server
                logger.error("partitions cannot be acquired", exc_info=error, kind="acquire")
                await trio.sleep(LOOK)
            self._asked.difference_update(self._here)

    async def _acquire_wanted(self, *, listening: bool) -> None:
        """Acquire the partitions that newcomers ask for, and the free ones unless it still listens to the others."""
        wanted = self._asked | (set() if listening else set(self._due()))
        wanted.difference_update(self._here)
        if wanted:
            await self._acquire(wanted)
            await trio.sleep(OFTEN)

    def _due(self) -> list[int]:
        """Return the free partitions that it is time to acquire."""
        now, held = trio.current_time(), self.other_servers.holders()
        due: list[int] = []
        for partition in self._slot.difference(self._here):
            if self._placement.is_away(partition):
                continue
            meant_for = self.other_servers.meant_for(partition)
            if meant_for == self.node:
                due.append(partition)
            elif meant_for or partition in held:
                self._try_at.pop(partition, None)
            elif partition not in self._try_at:
                nodes = [self.node, *(one.node for one in self.other_servers.takers(partition))]
                first = preferred(partition, nodes) == self.node
                self._try_at[partition] = now + (0 if first else SECOND) + uniform(0, JITTER)
            elif self._try_at[partition] <= now:
                due.append(partition)
        return due

    async def _acquire(self, partitions: Collection[int]) -> None:
        """Acquire partitions in one request, and begin those that are granted."""
        dead = tokens_of_dead(self._tokens, self._slot.intersection(partitions).difference(self._here), self._placement)
        if dead:
            await self._leases.release_of_dead({KEYS[one]: token for one, token in dead.items()})
            for one in dead:
                self._tokens[one] = 0
        others = await self._leases.acquire([KEYS[one] for one in partitions])
        fresh: dict[int, Lease] = {}
        for one in partitions:
            self._asked.discard(one)
            self._inherited.discard(one)
            lease = self._leases.lease(KEYS[one])
            if lease is not None:
                fresh[one] = lease
                self._known.pop(one, None)
            else:
                self._known[one] = holder = others.get(KEYS[one], "")
                self._try_at[one] = trio.current_time() + (LOOK if holder else LOOK / 2)
        if self.leaving:
            await self._leases.release([KEYS[one] for one in fresh])
        else:
            self._begin(fresh)
        self._answered.set()
        self._answered = trio.Event()

    def _begin(self, fresh: Mapping[int, Lease]) -> None:
        for partition, lease in fresh.items():
            self._here[partition] = lease
            self._tokens[partition] = lease.token
            self._try_at.pop(partition, None)
            self.leased.begin(partition, seen.Ownership(lease.token, partial(self._leases.left, lease)))
            self._posting.begin(partition)
        if fresh:
            self.reports.due.ring()
            try:
                self._update()
            except BaseException as error:
                contain(error)
                logger.error("resources of acquired partitions cannot be started", exc_info=error)

    # The end

    def _lost(self, key: str) -> None:
        """End the lives of a partition at once; called where no task runs."""
        self._end(PARTITION_OF[key])
        self._losses += 1
        self._bell.ring()

    def _end(self, partition: int) -> None:
        lease = self._here.pop(partition, None)
        if lease is not None and self._tokens[partition] == lease.token:
            self._tokens[partition] = 0
        self._closed.pop(partition, None)
        self.leased.lose(partition)
        self._posting.end(partition)
        self.reports.due.ring()

    def close(self, partition: int, to: str = "") -> None:
        """Let no newcomer join a partition any more, if it is here, and is about to be given to a server or to any."""
        if partition in self._here:
            self._closed[partition] = to
            for life in self.leased.lives(partition):
                life.hand_over_steps.leaves = True

    async def release(
        self, partitions: Collection[int], given: Mapping[int, str] | None = None, *, claimed: bool = False
    ) -> None:
        """Give partitions back, whose lives have ended.

        Args:
            partitions: The partitions.
            given: The servers that are to have them.
            claimed: Whether others are to leave them to the next generation of this worker for a moment.
        """
        mine = [one for one in partitions if one in self._here]
        if claimed:
            self._claims.update(dict.fromkeys(mine, trio.current_time() + CLAIMED))
        for one in mine:
            self._end(one)
            self._known[one] = ""
            self._try_at[one] = trio.current_time() + PATIENCE
        if mine:
            self.other_servers.give(given or {})
            await self._leases.release([KEYS[one] for one in mine])
            if not claimed:
                self.reports.tell(given=given or {})

    def _report(self) -> Report:
        place, now = self._placement, trio.current_time()
        held = {*self._here, *(one for one, until in self._claims.items() if until > now)}
        return Report(
            node=self.node, slot=place.slot, count=place.count, held=frozenset(held), busy=len(self.leased.crowds()),
            leaving=self.leaving, given={one: to for one, to in self._closed.items() if to},
        )  # fmt: skip


def tokens_of_dead(tokens: FencingTokens, partitions: Iterable[int], placement: Placement) -> dict[int, int]:
    """Return the tokens of leases that an ended process of this slot has left, for partitions that are not owned here.

    It has been reaped: a worker starts after that, or has its partitions from the supervisor.
    """
    return {one: tokens[one] for one in partitions if tokens[one] and not placement.is_away(one)}
