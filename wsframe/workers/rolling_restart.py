"""A rolling restart: the supervisor carries out the steps of its table (``restart_table``)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import trio

from wsframe.log import Log, log_for
from wsframe.workers.child import Child
from wsframe.workers.partitions import partitions_of
from wsframe.workers.restart_table import GRACE, READY_WITHIN, Do, RestartTable, Step
from wsframe.workers.slots import CANNOT_START, LONGEST_PAUSE, reason_of

__all__ = ["NOT_READY", "RollingRestart"]

logger: Log = log_for(__name__)

STEP = 0.1
"""Seconds between two looks at the deadlines."""
NOT_READY = "a worker is still down or starting; repeat it once all are ready"
BACK_WITHIN = READY_WITHIN + LONGEST_PAUSE
"""Seconds in which a slot has to have a worker again."""
PAUSE = 0.5
"""Seconds until another new worker starts, after the end of one that had begun to take over."""


class RollingRestart:
    """One rolling restart.

    Args:
        count: The number of slots.
        current: The worker of each slot, which the supervisor keeps up to date.
        drain: Seconds in which an old worker leaves its partitions.
        start: Starts a new worker in a slot, beside the old one given, and accompanies it until it has been reaped.
    """

    def __init__(
        self,
        count: int,
        current: dict[int, Child],
        drain: float,
        start: Callable[[int, Child | None], Awaitable[Child]],
    ) -> None:
        self._current = current
        self._start = start
        self._drain = drain
        self.table: RestartTable = RestartTable([partitions_of(slot, count) for slot in range(count)], drain)
        self.old: dict[int, Child] = {}
        """The workers that are to leave."""
        self.new: dict[int, Child] = {}
        """Those that follow them."""
        self.done: trio.Event = trio.Event()

    @property
    def failure(self) -> str:
        """Why it has stopped; empty otherwise."""
        return self.table.failure

    def refuse(self, reason: str) -> None:
        """End it before it has begun."""
        logger.warning("a restart is refused: %s", reason)
        self.table.stop(reason)
        self.done.set()

    async def run(self) -> None:
        """Restart all slots, or stop at the first that cannot."""
        self.old = dict(self._current)
        logger.info("restarting %d workers, one after another", len(self.old))
        try:
            while not self.table.done and not self.failure:
                if self.table.slot is None:
                    await self._all_back()
                await self._do(self.table.go_on(trio.current_time()))
                await self._replace()
                await trio.sleep(STEP)
            if not self.failure:
                await self._all_back()
        finally:
            self.done.set()
        if self.failure:
            logger.error("the restart has stopped: %s", self.failure)
        else:
            logger.info("all workers have been restarted")

    async def _all_back(self) -> None:
        """Wait between two slots until all have a worker that is ready; stop if one has none for long.

        A program can start and end as soon as it takes over: it must not take one slot after another down.
        """
        slots = range(self.table.count)
        with trio.move_on_after(BACK_WITHIN):
            while down := [one for one in slots if one not in self._current or not self._current[one].ready]:  # noqa: ASYNC110
                await trio.sleep(STEP)
        if down:
            self.table.stop(f"worker {down[0]} is down or starting for {BACK_WITHIN:g} s; the others go on")

    async def _replace(self) -> None:
        """Start another new worker in the place of one that has ended while the old one was leaving."""
        slot = self.table.slot
        if slot is not None and slot not in self.new and slot in self.old:
            await trio.sleep(PAUSE)
            if self.failure or slot not in self.old:
                return
            try:
                self.new[slot] = await self._start(slot, self.old.get(slot))
            except CANNOT_START as error:
                logger.error("worker %d cannot start: %s; another one starts soon", slot, reason_of(error))

    async def _do(self, steps: Iterable[Step]) -> None:
        for step in steps:
            if step.do is not Do.START:
                self.act([step])
                continue
            try:
                self.new[step.slot] = await self._start(step.slot, self.old.get(step.slot))
            except CANNOT_START as error:
                self.act(self.table.new_gone(step.slot, f"cannot start: {reason_of(error)}"))

    def act(self, steps: Iterable[Step]) -> None:
        """Carry out steps that need no wait."""
        for step in steps:
            old, new = self.old.get(step.slot), self.new.get(step.slot)
            if step.do is Do.LEAVE and old is not None:
                old.control.say("leave")
                old.watch.excuse(self._drain + GRACE)
            elif step.do is Do.BEGIN and new is not None:
                new.control.say("begin", partitions=list(step.partitions))
                new.watch.excuse(READY_WITHIN)
            elif step.do is Do.KILL_OLD and old is not None:
                logger.error("%s has not left in time: SIGKILL", old.name)
                old.process.kill()
            elif step.do is Do.KILL_NEW and new is not None:
                new.process.kill()

    # Reports of the supervisor

    def ready(self, child: Child) -> None:
        """Note that a worker is ready."""
        if self.new.get(child.slot) is child:
            self.act(self.table.new_ready(child.slot, trio.current_time()))

    def over(self, child: Child, partitions: Iterable[int]) -> None:
        """Note that a worker has left partitions."""
        if self.old.get(child.slot) is child:
            self.act(self.table.over(child.slot, partitions))

    def gone(self, child: Child) -> None:
        """Note that a worker has been reaped."""
        slot = child.slot
        if self.old.get(slot) is child:
            del self.old[slot]
            self.act(self.table.old_gone(slot))
        elif self.new.get(slot) is child:
            del self.new[slot]
            self.act(self.table.new_gone(slot, child.end))
