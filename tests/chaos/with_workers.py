"""A round with workers: random clients, and workers that are killed and stopped at random.

``python -m tests.chaos.with_workers [SEEDS [CLIENTS [FIRST]]]`` prints a line for each seed.

A client whose worker was killed, or which was on its way in at that moment, can lose its connection. Nobody else
notices anything, whatever is killed; and no client is served by two processes, and no path by two at a time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import trio

from tests.chaos.one_round import ARRIVALS, BUSY, PATIENCE, POLITE_SHARE, first_of
from tests.chaos.polite import POLITE, gate
from tests.chaos.resources import Life
from tests.chaos.rough import Address
from tests.chaos.rude import RUDE
from tests.chaos.visit import Program, Visit
from tests.cli.workers import Service, service
from tests.restarts.lives import overlaps
from wsframe.server.monitoring.inquiry import inquire

__all__ = ["Outcome", "run_round"]

TARGET = Path(__file__).with_name("worker_program.py")
WORKERS = 4
OPTIONS = (
    "--max-message", "32K", "--max-fragments", "64", "--max-queued-messages", "32", "--max-outbox", "256K",
    "--handshake-timeout", "25", "--ping-interval", "2", "--ping-timeout", "10", "--write-stall-timeout", "10",
    "--close-timeout", "10", "--log-level", "error",
)  # fmt: skip
CAUGHT = 2.0
"""Seconds before a kill in which a newcomer that dies with it can have come."""


@dataclass
class Outcome:
    """The results of a round."""

    seed: int
    clients: int
    killed: int = 0
    stopped: int = 0
    connected: int = 0
    excused: int = 0
    """Clients that lost their connection with a worker."""
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


@dataclass
class Stay:
    """One client's visit: its time, and how its program ended."""

    visit: Visit
    program: Program
    began: float = 0.0
    ended: float = 0.0
    error: str = ""


class Round:
    """One round against one service."""

    def __init__(self, seed: int, clients: int, running: Service, port: int, admin: Path, ledger: Path) -> None:
        self.outcome = Outcome(seed, clients)
        self._random = Random(seed)
        self._running = running
        self._address = Address(port, None)
        self._admin, self._ledger = admin, ledger
        self._released = trio.Event()
        self._busy = trio.Semaphore(BUSY)
        self._stays = [self._cast(number) for number in range(clients)]
        self._deadly = self._random.sample(
            self._stays, clients // 6
        )  # for each that comes a worker is killed or stopped
        self._killed: dict[int, float] = {}

    def _cast(self, number: int) -> Stay:
        random = Random(f"{self.outcome.seed}/{number}")
        polite = {program: weight for program, weight in POLITE.items() if program is not gate}  # it shares an event
        programs = polite if random.random() < POLITE_SHARE else RUDE
        (program,) = random.choices(list(programs), list(programs.values()))
        name = f"{number}-{program.__name__}"
        return Stay(Visit(name, random, self._address, {}, self._released, self._busy), program)

    async def play(self) -> None:
        """Let all clients come, with workers that die, until the service has forgotten everybody."""
        begun = trio.current_time()
        async with trio.open_nursery() as holding:
            async with trio.open_nursery() as killing:
                for stay in self._stays:
                    holding.start_soon(self._play_one, stay, killing)
                while not all(stay.visit.retired for stay in self._stays):  # noqa: ASYNC110
                    await trio.sleep(0.05)
            await self._settle()
            self._released.set()
        self.outcome.seconds = trio.current_time() - begun

    async def _play_one(self, stay: Stay, killing: trio.Nursery) -> None:
        await trio.sleep(stay.visit.random.random() * self.outcome.clients / ARRIVALS)
        await self._busy.acquire()
        stay.began = trio.current_time()
        if stay in self._deadly:
            killing.start_soon(self._kill)
        try:
            with trio.move_on_after(PATIENCE) as patience:
                await stay.program(stay.visit)
            if patience.cancelled_caught:
                stay.error = f"not done after {PATIENCE:.0f} s"
        except OSError as error:
            if stay.program in POLITE:
                stay.error = repr(error)
        except Exception as error:
            stay.error = repr(first_of(error))
        finally:
            stay.ended = trio.current_time()
            stay.visit.retire()

    async def _kill(self) -> None:
        """Kill or stop a worker."""
        while not (workers := await self._workers()):  # noqa: ASYNC110
            await trio.sleep(0.02)
        victim = self._random.choice(workers)
        if self._random.random() < 0.3:
            await self._stop(victim)
        else:
            self._killed[victim] = trio.current_time()
            os.kill(victim, signal.SIGKILL)

    async def _stop(self, victim: int) -> None:
        self.outcome.stopped += 1
        os.kill(victim, signal.SIGSTOP)
        try:
            await trio.sleep(self._random.uniform(0.1, 1.0))
        finally:  # also where this round fails: nobody else would wake it
            if victim not in self._killed:
                os.kill(victim, signal.SIGCONT)

    async def _workers(self) -> list[int]:
        told = await self._told()
        return [one["pid"] for one in told["workers"] if one["state"] == "ready" and one["pid"] not in self._killed]

    async def _told(self) -> Mapping[str, Any]:
        return await inquire(str(self._admin)) or {"workers": ()}

    async def _settle(self) -> None:
        left: object = "no answer"
        with trio.move_on_after(PATIENCE):
            while left:
                told = await self._told()
                counts = {name: told.get(name) for name in ("clients", "reserved", "pending_handshakes")}
                left = {name: count for name, count in counts.items() if count != 0}
                await trio.sleep(0.1)
        if left:
            self.outcome.faults.append(f"still there: {left}")

    def judge(self) -> None:
        """Compare the lines of all workers with the actions of the clients."""
        faults = self.outcome.faults
        homes: defaultdict[str, set[int]] = defaultdict(set)
        ends: defaultdict[str, list[Life]] = defaultdict(list)
        lives: list[str] = []
        for line in self._ledger.read_text().splitlines():
            told = json.loads(line)
            process, what = told.pop("process"), told.pop("what")
            if what == "fault":
                faults.append(f"process {process}: {told['line']}")
            elif what in ("begins", "ends"):
                lives.append(f"0 {what} {told['key'].replace(' ', '_')} {process}")
            else:
                homes[told["name"]].add(process)
                if what == "goes":
                    ends[told.pop("name")].append(Life(**told))
        faults += overlaps("\n".join(lives))
        self.outcome.killed, self.outcome.connected = len(self._killed), len(homes)
        for stay in self._stays:
            self._judge_one(stay, homes.pop(stay.visit.name, set()), ends.pop(stay.visit.name, []))
        faults += [f"hooks ran for nobody: {name}" for name in homes]

    def _judge_one(self, stay: Stay, homes: set[int], ends: list[Life]) -> None:
        visit, faults = stay.visit, self.outcome.faults
        name = f"{visit.name} {visit.trail}"
        if len(homes) > 1 or len(ends) > 1:
            faults.append(f"{name}: served by {homes}, disconnected {len(ends)} times")
        elif self._lost(stay, homes):
            self.outcome.excused += bool(stay.error)
        elif stay.error:
            faults.append(f"{name}: {stay.error}")
        elif bool(homes) != bool(ends):
            faults.append(f"{name}: never disconnected")
        elif visit.lives is not None and len(ends) != visit.lives:
            faults.append(f"{name}: had {len(ends)} lives")
        elif ends:
            (life,) = ends
            if visit.promised is not None and life.messages != visit.promised:
                faults.append(f"{name}: hooks were told {len(life.messages)} messages, not {len(visit.promised)}")
            if (life.connected, life.disconnected) != (1, 1):
                faults.append(f"{name}: {life.connected} times connected, {life.disconnected} times disconnected")
            if visit.closes_with is not None and life.close_code != visit.closes_with:
                faults.append(f"{name}: closed {life.close_code} {life.close_reason!r}, not {visit.closes_with}")

    def _lost(self, stay: Stay, homes: set[int]) -> bool:
        """Return whether a client was in a worker that was killed, or on its way in at such a moment."""
        if homes:
            return not homes.isdisjoint(self._killed)
        return any(stay.began - CAUGHT <= at <= stay.ended for at in self._killed.values())


def run_round(seed: int, clients: int) -> Outcome:
    """Run a round; the outcome says whether anything was wrong."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        admin, ledger = folder / "admin", folder / "ledger"
        ledger.touch()
        command = ("-m", "wsframe", "serve", f"{TARGET}:registry", "--port", "0", "--workers", str(WORKERS))
        environment = {"CHAOS_LEDGER": str(ledger), "PYTHONPATH": os.getcwd()}
        with service(folder, *command, "--admin", str(admin), *OPTIONS, **environment) as running:
            port = int(running.until("Serving at").split()[2].rpartition(":")[2])
            made = Round(seed, clients, running, port, admin, ledger)
            trio.run(made.play)
            workers = running.workers()
            running.process.terminate()
            if status := running.end():
                made.outcome.faults.append(f"the service ended with {status}")
            if left := [pid for pid in workers if os.path.exists(f"/proc/{pid}")] or running.runtime():
                made.outcome.faults.append(f"left: {left}")
        made.judge()
        return made.outcome


def main(arguments: list[str]) -> int:
    """Run rounds of several seeds."""
    seeds, clients, first = (int(given) for given in (*arguments, *("5", "300", "1")[len(arguments) :]))
    outcomes = []
    for seed in range(first, first + seeds):
        one = run_round(seed, clients)
        outcomes.append(one)
        print(
            f"seed {seed}: {clients} clients, {one.connected} connected, {one.killed} workers killed, {one.stopped} "
            f"stopped, {one.excused} clients lost with them, {one.seconds:.0f} s, {len(one.faults)} faults",
            flush=True,
        )
        for fault in one.faults:
            print(f"       {fault}", flush=True)
    return 1 if any(one.faults for one in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
