"""The supervisor: it starts the workers, looks after them, and starts the successor of one that has died.

It holds the descriptors that outlive a worker (``inherited``), and reads no byte of a client. Each worker has a task
here, which hears its messages and waits for its end; one task looks at all beats. A successor starts only when its
predecessor has been reaped: the end of a socket says nothing, because a child process of a hook can hold it.

* At first nobody accepts until every slot has been ready once. A worker that cannot start ends the service.
* Later a slot whose worker has died starts again at once, after further deaths with longer and longer pauses. The other
  slots go on.
* The program of a worker ends the service: ``server.close()``, or SystemExit, whose status becomes the service's. One
  that does so before it is ready, while others serve, cannot start: its code can be newer than theirs.
* When the supervisor is killed, its workers see the end of their links and drain.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf

import trio

from wsframe.log import Log, log_for
from wsframe.workers.board import SlotState
from wsframe.workers.child import Child, status_of
from wsframe.workers.inherited import Equipment
from wsframe.workers.orders import ControlMessage
from wsframe.workers.relay_keeper import RelayKeeper
from wsframe.workers.restart_table import READY_WITHIN
from wsframe.workers.rolling_restart import NOT_READY, RollingRestart
from wsframe.workers.slots import CANNOT_START, LONGEST_PAUSE, LOOK, Act, Looks, RestartBackoff, reason_of
from wsframe.workers.spare import SpareKeeper
from wsframe.workers.worker import inquiries_at

__all__ = ["GRACE", "ServicePlan", "Supervisor"]

logger: Log = log_for(__name__)

GRACE = 5.0
"""Seconds beyond its drain after which a worker is killed."""
HURRIED = 2.0
"""Seconds after an order to hurry."""


@dataclass(frozen=True, kw_only=True)
class ServicePlan:
    """How the workers of a service are started, and how long they can take."""

    command: Sequence[str]
    """The command line of each."""
    folder: str
    """Where each begins."""
    patience: float = inf
    """Seconds for which an event loop can stand still until the worker is killed."""
    lame_duck: float = 0.0
    drain: float = 8.0


class Supervisor:
    """Keeps one worker running in each slot.

    Args:
        plan: How they are started.
        equipment: The descriptors that they inherit.
        started: Called once, when every slot has been ready once.
        launch: Starts a worker, of a slot, a generation and perhaps a predecessor; None runs the command of the plan.
        relay: Keeps the relay of the workers running; None for none.
        spares: Keeps a process that can become a worker at once; None for none.
    """

    def __init__(
        self,
        plan: ServicePlan,
        equipment: Equipment,
        started: Callable[[], object] = lambda: None,
        launch: Callable[..., Awaitable[Child]] | None = None,
        relay: RelayKeeper | None = None,
        spares: SpareKeeper | None = None,
    ) -> None:
        self._plan = plan
        self._launch = launch or partial(Child.start, plan.command, plan.folder, equipment, plan.patience)
        self._equipment = equipment
        self._relay = relay
        self._spares = spares
        self._board = equipment.board
        self._started = started
        self._children: list[Child] = []
        self._current: dict[int, Child] = {}
        """The worker of each slot, the last one to be ready; none while the slot is down."""
        self._successors: dict[int, Child] = {}
        """Workers that follow others that are still there."""
        self._starts: dict[int, trio.Event] = {}
        """Set when the start of such a worker, which is under way, is over."""
        self._restart: RollingRestart | None = None
        self._next_restart: RollingRestart | None = None
        """The one that follows it, or waits for a worker to be ready."""
        self._tasks: trio.Nursery
        self._backoffs = [RestartBackoff() for _ in range(equipment.count)]
        self._serving = False
        self._leaving = trio.Event()
        self.failure: str = ""
        """Why the service could not start; empty otherwise."""
        self.status: int = 0
        """The exit status of the service."""

    @property
    def leaving(self) -> trio.Event:
        """Set when the service is to end."""
        return self._leaving

    async def run(self) -> None:
        """Supervise until all workers have ended, after an order to drain or the end of a program."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._look)
                if self._relay is not None:
                    nursery.start_soon(self._relay.run, partial(self.drain, 1001, 0))
                if self._spares is not None:
                    nursery.start_soon(self._spares.run)
                async with trio.open_nursery() as keepers:
                    self._tasks = keepers
                    for slot in range(self._equipment.count):
                        keepers.start_soon(self._keep, slot)
                nursery.cancel_scope.cancel()
        finally:
            for child in self._children:  # none, unless this was cancelled
                child.process.kill()

    def drain(self, code: int = 1001, lame_duck: float | None = None, failure: str = "") -> None:
        """End the service in order, perhaps because it cannot work; a second order changes nothing."""
        if self._leaving.is_set():
            return
        if failure:
            self.failure, self.status = failure, 2
        self._leaving.set()
        if not self._serving and self._next_restart is not None:  # it waits for the start
            self._next_restart.done.set()
        for child in self._children:
            self._send_away(child, code, lame_duck)

    def restart(self) -> RollingRestart | None:
        """Order a rolling restart: it begins once the one under way is over, and all workers are ready.

        The code can be newer than the code that the restart under way has loaded; a restart that has not begun yet is
        for all orders. While the service starts its workers can have loaded older code, too: the restart follows.

        Returns:
            The restart; None while the service ends.
        """
        if self._leaving.is_set():
            logger.warning("a restart is refused: the service ends")
            return None
        if self._spares is not None:
            self._spares.discard()  # its code can be older than the order
        if self._next_restart is not None:
            return self._next_restart
        count, drain = self._equipment.count, self._plan.drain
        self._next_restart = RollingRestart(count, self._current, drain, self._start_successor)
        if not self._serving:
            logger.info("a restart follows the start, once all workers have been ready")
        elif self._restart is not None and not self._restart.done.is_set():
            logger.info("another restart follows the one under way")
        else:
            self._tasks.start_soon(self._run_restarts)
        return self._next_restart

    def _all_ready(self) -> bool:
        """Return whether each slot has a worker that has been ready."""
        return len(self._current) == self._equipment.count and all(one.ready for one in self._current.values())

    async def _run_restarts(self) -> None:
        """Run the next restart, and those that follow it, each once all workers are ready."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel_when, self._leaving, nursery.cancel_scope)
            while (following := self._next_restart) is not None:
                starting = [one for one in self._current.values() if not one.ready]
                if not self._all_ready():
                    logger.info("a restart waits until all workers are ready")
                with trio.move_on_after(READY_WITHIN + LONGEST_PAUSE):
                    while not self._all_ready():  # noqa: ASYNC110
                        await trio.sleep(LOOK)
                self._restart, self._next_restart = following, None
                if self._all_ready():
                    await following.run()
                else:
                    following.refuse(NOT_READY)
                    start_again(starting)
            nursery.cancel_scope.cancel()
        if self._leaving.is_set() and self._next_restart is not None:
            self._next_restart.done.set()

    async def _start_successor(self, slot: int, old: Child | None) -> Child:
        """Start a worker beside the one that it follows."""
        assert old is not None
        former = self._successors.get(slot)
        if former is not None:  # of a restart that has failed: it has the row of the next one
            await former.gone.wait()
        if old.gone.is_set():  # else it would have two successors: nobody has seen the start of this one
            raise RuntimeError("the worker before it has ended, and has another successor")
        start = self._starts[slot] = trio.Event()
        try:
            successor = self._successors[slot] = await self._start(slot, old.generation + 1, old)
        finally:
            del self._starts[slot]
            start.set()
        self._tasks.start_soon(self._accompany, successor)
        return successor

    async def _last_successor(self, child: Child) -> Child:
        """Wait for the end of the workers that have followed one; return the last of them."""
        while (successor := self._successors.pop(child.slot, None)) is not None:
            await successor.gone.wait()
            child = successor
        return child

    def hurry(self) -> None:
        """End the service now."""
        self.drain(lame_duck=0)
        for child in self._children:
            child.hurry(HURRIED)

    def _send_away(self, child: Child, code: int, lame_duck: float | None) -> None:
        duck = self._plan.lame_duck if lame_duck is None else lame_duck
        child.leave(code, duck, duck + self._plan.drain + GRACE)

    async def _keep(self, slot: int) -> None:
        """Start a worker in a slot, and its successors."""
        pause, generation = 0.0, 0
        while not self._leaving.is_set():
            with trio.move_on_after(pause):
                await self._leaving.wait()
                return
            try:
                child = await self._start(slot, generation)
            except CANNOT_START as error:
                pause = self._judge(slot, f"worker {slot}", f"cannot start: {reason_of(error)}")
                continue
            await self._accompany(child)
            child = await self._last_successor(child)
            generation = child.generation
            pause = self._judge(slot, child.name, child.end, ready=child.ready, steady=child.watch.steady)

    async def _start(self, slot: int, generation: int, predecessor: Child | None = None) -> Child:
        """Start a worker."""
        if predecessor is None:
            self._board.set_state(slot, SlotState.STARTING)
        with trio.CancelScope(shield=True):  # a process that nobody knows of would stay
            if predecessor is not None:
                child = await self._launch(slot, generation, predecessor)
            elif self._spares is not None and (spare := self._spares.take()) is not None:
                child = await self._launch(slot, generation, spare=spare)
            else:
                child = await self._launch(slot, generation)
        self._children.append(child)
        if predecessor is None:
            self._current[slot] = child
        if self._leaving.is_set():
            self._send_away(child, 1001, 0)
        return child

    async def _accompany(self, child: Child) -> None:
        """Hear a worker until it has been reaped, and forget it."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child.control.send_waiting)
            nursery.start_soon(self._hear, child)
            child.status = status_of(await child.process.wait())
            nursery.cancel_scope.cancel()
        start = self._starts.get(child.slot)
        if start is not None:  # of its successor, which takes its lineage, or of another
            await start.wait()
        self._hear_rest(child)
        child.close()
        if self._current.get(child.slot) is child:  # before its row goes: nobody finds a slot ready without a process
            self._board.set_state(child.slot, SlotState.DOWN)
            del self._current[child.slot]
        self._board.row(child.slot, child.generation).clear()
        with suppress(OSError):
            os.unlink(inquiries_at(self._equipment.runtime.folder, child.slot, child.generation))
        self._children.remove(child)
        if child.ends_service:
            self.status = self.status or child.status
        if self._successors.get(child.slot) is child:
            del self._successors[child.slot]
        child.gone.set()
        if self._restart is not None:
            self._restart.gone(child)

    def _judge(self, slot: int, name: str, how: str, *, ready: bool = False, steady: bool = False) -> float:
        """Log how a worker has ended, unless it had the order; return the seconds until its successor starts."""
        if self._leaving.is_set():
            return 0.0
        if not self._serving and not ready:
            self.drain(lame_duck=0, failure=f"{name} {how}")
            return 0.0
        pause = self._backoffs[slot].pause(steady=steady)
        logger.error("%s %s; another one starts %s", name, how, f"in {pause:.1f} s" if pause else "now")
        return pause

    async def _hear(self, child: Child) -> None:
        """Hear a worker until it closes its end of the link."""
        while True:
            try:
                if (message := await child.control.hear()) is None:
                    return
            except ValueError as error:
                logger.error("%s: %s", child.name, error)
            else:
                self._take(child, message)

    def _hear_rest(self, child: Child) -> None:
        """Hear all that a worker said before it was reaped."""
        while True:
            try:
                if (message := child.control.heard()) is None:
                    return
            except ValueError as error:
                logger.error("%s: %s", child.name, error)
            else:
                self._take(child, message)

    def _take(self, child: Child, message: ControlMessage) -> None:
        """Act on a message of a worker."""
        fields = message.fields
        if message.name == "ready":
            self._welcome(child)
        elif message.name == "failed":
            child.failure = fields["reason"]
        elif message.name == "over" and self._restart is not None:
            self._restart.over(child, fields["partitions"])
        elif message.name == "ending" and (child.ready or not self._serving):  # else it cannot start, as in its import
            child.ends_service = not self._leaving.is_set()
            self.drain(fields["code"], fields["lame_duck"])

    def _welcome(self, child: Child) -> None:
        """Have a worker that is ready accept: at the first start together with all others."""
        child.watch.ready()
        self._board.set_state(child.slot, SlotState.READY)
        if self._serving:
            self._current[child.slot] = child
            child.control.say("accept", started=False)
            logger.info("%s is ready", child.name)
            if self._restart is not None:
                self._restart.ready(child)
            return
        if not self._all_ready():
            return
        self._serving = True
        for one in self._current.values():
            one.control.say("accept", started=one.slot == 0)
        self._started()
        if self._next_restart is not None:
            self._tasks.start_soon(self._run_restarts)

    async def _look(self) -> None:
        """Look at the beats of all workers, for ever."""
        looks = Looks(trio.current_time())
        while True:
            await trio.sleep(LOOK)
            if not looks.counts(trio.current_time()):
                continue
            if self._relay is not None:
                self._relay.look()
            if self._spares is not None:
                restarting = self._restart is not None and not self._restart.done.is_set()
                self._spares.look(calm=self._all_ready() and not restarting and not self._leaving.is_set())
            for child in tuple(self._children):
                self._act(child, child.watch.look(self._board.row(child.slot, child.generation).beats))

    def _act(self, child: Child, act: Act | None) -> None:
        """Carry out the step after a look."""
        if act is None:
            return
        if self._current.get(child.slot) is child:
            self._board.set_state(child.slot, child.watch.state)
        patience = self._plan.patience
        if act is Act.WARN:
            logger.warning("%s does not turn its event loop; it is killed after %g s of that", child.name, patience)
        elif act is Act.CALM:
            logger.warning("%s turns its event loop again", child.name)
        else:
            late = "has not ended in time" if act is Act.KILL_LATE else f"has stood still for {patience:g} s"
            logger.error("%s %s: SIGKILL", child.name, late)
            child.process.kill()


async def cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    """Cancel a scope at an event."""
    await event.wait()
    scope.cancel()


def start_again(starting: Iterable[Child]) -> None:
    """Have successors of workers start with the newest code: an import that hangs would have all restarts refused."""
    for child in starting:
        if not child.ready and not child.gone.is_set():
            logger.error("%s was not ready in time for the restart: SIGKILL", child.name)
            child.process.kill()
