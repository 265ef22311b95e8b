"""A process that the supervisor has started: it can be killed, reaped and looked at."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Self

import trio

from wsframe.net.forked import keep_from_children
from wsframe.workers.board import SlotState
from wsframe.workers.control_socket import ControlSocket, make_control_sockets
from wsframe.workers.inherited import Equipment
from wsframe.workers.slots import ProcessWatch
from wsframe.workers.spare import Spare, started
from wsframe.workers.worker import VARIABLE

__all__ = ["Child", "status_of"]


class Child:
    """A worker process, as the supervisor knows it.

    Args:
        slot: Its slot.
        generation: Its generation.
        process: The process.
        control: The supervisor's end of its link.
        patience: Seconds for which its event loop can stand still.
        lineage: One end of the socket pair by which it hands over its clients; its successor inherits this end.
    """

    def __init__(
        self,
        slot: int,
        generation: int,
        process: trio.Process,
        control: ControlSocket,
        patience: float,
        lineage: socket.socket | None = None,
    ) -> None:
        self.lineage: socket.socket | None = lineage
        self.gone: trio.Event = trio.Event()
        """Set once it has been reaped."""
        self.slot = slot
        self.generation = generation
        self.process = process
        self.control = control
        self.watch: ProcessWatch = ProcessWatch(patience)
        self.failure = ""
        """The reason that it gave for not starting."""
        self.ends_service = False
        """Whether its program ends the service."""
        self.status = 0
        """Its exit status, once it has been reaped."""

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        folder: str,
        equipment: Equipment,
        patience: float,
        slot: int,
        generation: int,
        predecessor: Child | None = None,
        spare: Spare | None = None,
    ) -> Self:
        """Start a worker.

        Args:
            command: Its command line.
            folder: Its working directory.
            equipment: Gives it all that it inherits.
            patience: Seconds for which its event loop can stand still.
            slot: Its slot.
            generation: Its generation.
            predecessor: The worker that still has its partitions, if there is one.
            spare: A process to become the worker; None starts another one.
        """
        taking = -1
        if predecessor is not None and predecessor.lineage is not None:
            taking = predecessor.lineage.fileno()
        ours, theirs = make_control_sockets()
        keep_from_children(ours)
        try:
            giving, kept = make_control_sockets()
            keep_from_children(kept)
        except OSError:
            ours.close()
            theirs.close()
            raise
        try:
            environment = equipment.variable(slot, generation, theirs.fileno(), giving.fileno(), taking)
            descriptors = equipment.descriptors(slot, theirs.fileno(), giving.fileno(), taking)
            if spare is not None and spare.give(environment[VARIABLE], descriptors):
                process = spare.process
            else:
                process = await started(command, folder, environment, descriptors)
        except BaseException:
            ours.close()
            kept.close()
            raise
        finally:
            theirs.close()
            giving.close()
        return cls(slot, generation, process, ControlSocket(ours), patience, kept)

    @property
    def name(self) -> str:
        """Its name in log lines."""
        return f"worker {self.slot} (process {self.process.pid})"

    @property
    def ready(self) -> bool:
        """Whether it has been ready."""
        return self.watch.state is not SlotState.STARTING

    @property
    def end(self) -> str:
        """Its end in words, once it has been reaped."""
        return f"cannot start: {self.failure}" if self.failure else f"ended with status {self.status}"

    def leave(self, code: int, lame_duck: float, within: float) -> None:
        """Have it end in order, or be killed.

        Args:
            code: The close code for its clients.
            lame_duck: Seconds for which it goes on as before.
            within: Seconds until it is killed.
        """
        self.control.say("drain", code=code, lame_duck=lame_duck)
        self.watch.leave_within(within)
        if not self.ready:  # it can be importing, and then nobody hears the order
            self.process.terminate()

    def close(self) -> None:
        """Close the sockets that are left of it."""
        self.control.close()
        if self.lineage is not None:
            self.lineage.close()

    def hurry(self, within: float) -> None:
        """Have it cancel everything, or be killed after some seconds."""
        self.control.say("hurry")
        self.watch.leave_within(within)


def status_of(returncode: int) -> int:
    """Return the exit status that a shell shows for the end of a process."""
    return returncode if returncode >= 0 else 128 - returncode
