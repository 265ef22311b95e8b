"""The duties of a server that is one of several workers: it beats, reports its state, and obeys its supervisor."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

import trio

from wsframe.hooks.hand_over import RESTART
from wsframe.log import Log, log_for
from wsframe.resources.server import Server
from wsframe.server.drain import Drain
from wsframe.server.monitoring.readiness import note_reason
from wsframe.server.monitoring.service_statistics import answer_workers
from wsframe.server.service.generation import Generation
from wsframe.server.service.orphan import OrphanGuard, end_worker
from wsframe.user_code.protected_nursery import ProtectedNursery
from wsframe.workers.balance import Balance
from wsframe.workers.control_socket import ControlSocket
from wsframe.workers.orders import ControlMessage, encode_message
from wsframe.workers.placement import Placement
from wsframe.workers.worker import Worker

if TYPE_CHECKING:
    from wsframe.server.admission import Admission
    from wsframe.server.capacity import Places
    from wsframe.server.entrance import Entrance
    from wsframe.server.sockets.listen import Bound

__all__ = ["Duty", "made_duty", "placement_of", "tell_failure"]

logger: Log = log_for(__name__)

BEAT = 0.25
"""Seconds between two beats: two for each look of the supervisor."""


class SupervisedServer(Protocol):
    """The parts of a server that its supervisor and the other workers use."""

    admission: Admission

    @property
    def server(self) -> Server: ...
    @property
    def places(self) -> Places: ...
    @property
    def clients(self) -> int: ...
    def hurry(self) -> None: ...


def made_duty(worker: Worker | None, drain: Drain, local: SupervisedServer) -> Duty | None:
    """Make the duty of a server that is one of several workers; None for one that is not."""

    def count_load() -> int:
        admission = getattr(local, "admission", None)
        others = 0 if admission is None else len(admission.pending.under_way) + len(admission.carried.loop)
        return local.places.reserved + others

    if worker is None:
        return None
    return Duty(worker, drain, local.hurry, lambda: local.clients, count_load, local.server)


class Duty:
    """The duties of one worker.

    Args:
        worker: This process.
        drain: The order to drain its server.
        hurry: Cuts the drain short.
        count_clients: Returns the number of connections.
        count_load: Returns the places taken and the newcomers.
        server: The server, for inquiries of other processes; None answers none.
    """

    def __init__(
        self,
        worker: Worker,
        drain: Drain,
        hurry: Callable[[], object],
        count_clients: Callable[[], int],
        count_load: Callable[[], int],
        server: Server | None = None,
    ) -> None:
        self._server = server
        self.worker = worker
        self._drain = drain
        self._hurry = hurry
        self._count_clients = count_clients
        self.balance: Balance = Balance(worker.board, worker.slot, worker.row, count_load)
        self._control = ControlSocket(worker.link)
        self._welcome = trio.Event()
        self._ordered = False
        """Whether it is to leave by an order or a signal, and not because its program ends the service."""
        self.starts_service: bool = False
        """Whether it reports to the program that the service has started."""
        self.succeeded: bool = False
        """Whether it leaves its partitions to the next generation."""
        self.generation: Generation | None = None
        """Its part in rolling restarts; the server sets it."""

    def open_door(self, entrance: Entrance, places: Sequence[Bound]) -> None:
        """Take the newcomers that other workers pass, and those of the generation before."""
        entrance.open_door(self.worker.door, places)
        if self.generation is not None:
            entrance.take_arrivals(self.generation.arrivals, places)

    def leave(self, code: int = 1001, lame_duck: float | None = None) -> None:
        """Drain this worker alone: the service goes on, or ends by the supervisor's order."""
        self._ordered = True
        self._drain.ask(code, lame_duck)

    async def until_welcome(self) -> None:
        """Report that the server is ready, and wait until it can accept."""
        row = self.worker.row
        row.pid, row.generation, row.ready = os.getpid(), self.worker.generation, 1
        self._control.say("ready")
        await self._welcome.wait()

    def say_over(self, partitions: Collection[int]) -> None:
        """Report that partitions have been left."""
        self._control.say("over", partitions=list(partitions))

    async def belong(self, generation: Generation) -> None:
        """Take part in rolling restarts, until cancelled."""
        self.generation = generation
        await generation.follow()

    async def leave_partitions(self, admission: Admission) -> None:
        """Leave all partitions to the next generation, once the newcomers on their way are in.

        Those that need longer go there as well, as soon as user code lets go of them.
        """
        assert self.generation is not None
        admission.unanswered.lineage = self.generation.lineage()
        async with ProtectedNursery() as nursery:
            nursery.start_soon(partial(admission.carried.depart, self._drain.leaving, *RESTART, all_of_them=True))
            admission.drain(self._drain.finishing, self._drain.leaving)
            await admission.until_decided()
            admission.unanswered.vacate()
            await self.generation.leave(self._drain.leaving - self._drain.finishing, self.say_over)
        while admission.pending.all():
            await admission.pending.fewer()
        self.generation.end_lineage()

    async def run(self) -> None:
        """Beat, report and obey until cancelled."""
        with self._guard():
            async with ProtectedNursery() as nursery:
                nursery.start_soon(self._beat)
                nursery.start_soon(self._control.send_waiting)
                nursery.start_soon(self._tell_end)
                if self._server is not None:
                    nursery.start_soon(answer_workers, self.worker, self._server)
                await self._obey()

    def _guard(self) -> AbstractContextManager[object]:
        """Guard this process, if it has a supervisor, against outliving that."""
        if not self.worker.supervisor:
            return nullcontext()
        return OrphanGuard(self.worker.link, self._drain.longest, partial(end_worker, self.worker))

    async def _beat(self) -> None:
        row = self.worker.row
        while True:
            row.beats += 1
            row.clients = self._count_clients()
            self.balance.note()
            if self._server is not None:
                note_reason(row, self._server.unready())
            await trio.sleep(BEAT)

    async def _tell_end(self) -> None:
        """Tell the supervisor if the program ends the service."""
        await self._drain.asked.wait()
        if not self._ordered:
            self._control.say("ending", code=self._drain.code, lame_duck=self._drain.left)

    async def _obey(self) -> None:
        while (message := await self._control.hear()) is not None:
            self._take(message)
        logger.warning("the supervisor has ended; this worker drains")
        self.leave()

    def _take(self, message: ControlMessage) -> None:
        """Carry out an order."""
        if message.name == "accept":
            self.starts_service = message.fields["started"]
            self._welcome.set()
        elif message.name == "drain":
            self.leave(message.fields["code"], message.fields["lame_duck"])
        elif message.name == "leave":
            self.succeeded = True
            self.leave(1012, 0)
        elif message.name == "begin" and self.generation is not None:
            self.generation.begin(message.fields["partitions"])
        elif message.name == "hurry":
            self._ordered = True
            self._hurry()


def placement_of(duty: Duty | None) -> Placement:
    """Return the placement, which says which lives belong in this process."""
    if duty is None:
        return Placement.alone()
    return Placement(duty.worker.slot, duty.worker.count, follows=duty.worker.follows)


def tell_failure(worker: Worker, reason: str) -> None:
    """Tell the supervisor why this worker cannot start."""
    with suppress(OSError):  # it has gone
        worker.link.send(encode_message("failed", reason=reason[:1000]))
