"""Workers without processes: a supervisor starts, hears, kills and reaps them as it does real ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from math import inf
from pathlib import Path
from typing import Any, cast

import trio

from tests.patience import PATIENCE
from wsframe.workers.board import Board
from wsframe.workers.child import Child
from wsframe.workers.control_socket import ControlSocket, make_control_sockets
from wsframe.workers.inherited import Equipment, equipment
from wsframe.workers.orders import ControlMessage
from wsframe.workers.runtime import Runtime, runtime_of


class Process:
    """A process that ends when a test or its supervisor says so."""

    numbers = count(1001)

    def __init__(self) -> None:
        self.pid = next(self.numbers)
        self.signals: list[str] = []
        self._ended = trio.Event()
        self._returncode = 0

    def end(self, returncode: int = 0) -> None:
        """End."""
        if not self._ended.is_set():
            self._returncode = returncode
            self._ended.set()

    def kill(self) -> None:
        """End by SIGKILL."""
        self.signals.append("KILL")
        self.end(-9)

    def terminate(self) -> None:
        """End by SIGTERM, as a process does that is importing."""
        self.signals.append("TERM")
        self.end(-15)

    async def wait(self) -> int:
        """Wait for the end."""
        await self._ended.wait()
        return self._returncode


class StandIn:
    """A worker without a process."""

    def __init__(self, slot: int, generation: int, board: Board, patience: float) -> None:
        self.slot = slot
        self.generation = generation
        self.process = Process()
        self.row = board.row(slot, generation)
        ours, theirs = make_control_sockets()
        self.control = ControlSocket(theirs)
        self.child = Child(slot, generation, cast(trio.Process, self.process), ControlSocket(ours), patience)

    async def hears(self) -> ControlMessage | None:
        """Wait for the next order."""
        with trio.fail_after(PATIENCE):
            return await self.control.hear()

    def say(self, name: str, **fields: Any) -> None:
        """Say something to the supervisor."""
        self.control.say(name, **fields)

    async def beat(self) -> None:
        """Beat for ever."""
        while True:
            self.row.beats += 1
            await trio.sleep(0.25)


class Workers:
    """The stand-ins that a supervisor has started, in order."""

    def __init__(self, equipment: Equipment, patience: float = inf) -> None:
        self.started: list[StandIn] = []
        self._equipment = equipment
        self._patience = patience
        self._changed = trio.Event()
        self.errors: list[Exception] = []
        """Raised by the next starts, one each."""
        self.may_start: trio.Event = trio.Event()
        """Starts wait for it, as they do for the thread that starts a process."""
        self.may_start.set()
        self.starts = 0
        """Starts that have begun."""

    async def launch(self, slot: int, generation: int, predecessor: Child | None = None) -> Child:
        """Start one, for a supervisor."""
        await trio.lowlevel.checkpoint()
        self.starts += 1
        await self.may_start.wait()
        if self.errors:
            raise self.errors.pop()
        made = StandIn(slot, generation, self._equipment.board, self._patience)
        self.started.append(made)
        self._changed.set()
        self._changed = trio.Event()
        return made.child

    async def at(self, number: int) -> StandIn:
        """Wait for the start of one, counted from 0."""
        with trio.fail_after(PATIENCE):
            while len(self.started) <= number:
                await self._changed.wait()
        return self.started[number]

    async def all_ready(self, count: int) -> list[StandIn]:
        """Have the first ones be ready; they come by slot, and have heard that they can accept."""
        found = sorted([await self.at(number) for number in range(count)], key=lambda one: one.slot)
        for one in found:
            one.say("ready")
        for one in found:
            assert await one.hears() == ControlMessage("accept", {"started": one.slot == 0})
        return found

    def close(self) -> None:
        """Close their ends of the links."""
        for one in self.started:
            one.control._sock.close()


@contextmanager
def equipped(folder: Path, count: int) -> Iterator[Equipment]:
    """Make the equipment of a service without listening sockets."""
    with runtime_of(str(folder / "run")) as runtime, equipment(count, runtime, [], []) as made:
        assert isinstance(runtime, Runtime)
        yield made
