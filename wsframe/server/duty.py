"""The duties of a server that is one of several workers: it beats, says how it is, and obeys its supervisor."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

import trio

from wsframe.log import log_for
from wsframe.server.drain import Drain
from wsframe.workers.balance import Balance
from wsframe.workers.orders import Message, encoded
from wsframe.workers.wire import Wire
from wsframe.workers.worker import Worker

__all__ = ["Duty", "tell_failure"]

logger = log_for(__name__)

BEAT = 0.25
"""Seconds between two beats: two for each look of the supervisor."""


class Duty:
    """The duties of one worker.

    Args:
        worker: What it is.
        drain: The order to drain its server.
        hurry: Cuts the drain short.
        count_clients: Returns the number of connections.
        count_load: Returns the places taken and the newcomers.
    """

    def __init__(
        self,
        worker: Worker,
        drain: Drain,
        hurry: Callable[[], object],
        count_clients: Callable[[], int],
        count_load: Callable[[], int],
    ) -> None:
        self.worker = worker
        self._drain = drain
        self._hurry = hurry
        self._count_clients = count_clients
        self.balance = Balance(worker.board, worker.slot, worker.row, count_load)
        self._wire = Wire(worker.link)
        self._welcome = trio.Event()
        self._ordered = False
        """Whether it is to leave by an order or a signal, and not because its program ends the service."""
        self.starts_service = False
        """Whether it tells the program that the service has started."""
        self.orphaned = False
        """Whether the supervisor has ended before it."""

    def leave(self, code: int = 1001, lame_duck: float | None = None) -> None:
        """Drain this worker alone: the service goes on, or ends by the supervisor's order."""
        self._ordered = True
        self._drain.ask(code, lame_duck)

    async def until_welcome(self) -> None:
        """Say that the server is ready, and wait until it can accept."""
        row = self.worker.row
        row.pid, row.generation, row.ready = os.getpid(), self.worker.generation, 1
        self._wire.say("ready")
        await self._welcome.wait()

    async def run(self) -> None:
        """Beat, say and obey until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._beat)
            nursery.start_soon(self._wire.send_waiting)
            nursery.start_soon(self._tell_end)
            await self._obey()

    async def _beat(self) -> None:
        row = self.worker.row
        while True:
            row.beats += 1
            row.clients = self._count_clients()
            self.balance.note()
            await trio.sleep(BEAT)

    async def _tell_end(self) -> None:
        """Tell the supervisor if the program ends the service."""
        await self._drain.asked.wait()
        if not self._ordered:
            self._wire.say("ending", code=self._drain.code, lame_duck=self._drain.left)

    async def _obey(self) -> None:
        while (message := await self._wire.hear()) is not None:
            self._take(message)
        logger.warning("the supervisor has ended; this worker drains")
        self.orphaned = True
        self.leave()

    def _take(self, message: Message) -> None:
        """Carry out an order."""
        if message.name == "accept":
            self.starts_service = message.fields["started"]
            self._welcome.set()
        elif message.name == "drain":
            self.leave(message.fields["code"], message.fields["lame_duck"])
        elif message.name == "hurry":
            self._ordered = True
            self._hurry()


def tell_failure(worker: Worker, reason: str) -> None:
    """Tell the supervisor why this worker cannot start."""
    with suppress(OSError):  # it has gone
        worker.link.send(encoded("failed", reason=reason[:1000]))
