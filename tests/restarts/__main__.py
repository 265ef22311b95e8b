"""``python -m tests.restarts [CLIENTS [RESTARTS]]``: restarts under load, deaths at each step, and the record."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import trio

from tests.cli.workers import Service, service
from tests.restarts.lives import overlaps
from tests.restarts.load import Tally, connect_for_ever, echo_for_ever, interrupt, stall

RECORD = Path(__file__).parents[2] / "docs/explanation/restarts-record.inc"
TARGET = Path(__file__).with_name("program.py")
NO_FAULTS = """\
No faults: no client was refused, reset, answered 503 or closed at once. No echo was lost, came twice or came out of
  order. No two objects of one path lived at the same time."""
WORDS = {
    "connects": "connections",
    "answered": "answers",
    "interrupted: closed 1012": "interrupted clients closed with 1012",
    "stalled: whole": "stalled clients with every byte",
    "echoing: closed 1012": "clients closed with 1012",
    "echoing: closed without a close frame": "connections ended without a close frame",
    "echoing: broken": "connections reset",
}
STEPS = {
    "hand_over": "the old process, in ``hand_over``",
    "leaving": "the old process, leaving ``running()``",
    "entering": "the new process, entering ``running()``",
    "take_over": "the new process, in ``take_over``",
    "restore_client": "the new process, in the third ``restore_client``",
}


@contextmanager
def served(workers: int, die_at: str = "") -> Iterator[tuple[Service, int, Path]]:
    """Serve the program; give the service, its port, and the file of lives."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flag = folder / "flag"
        lives = folder / "lives"
        command = ("-m", "wsframe", "serve", str(TARGET), "--port", "0", "--workers", str(workers))
        environment = {"LIVES": str(lives), "DIE_AT": f"{die_at}@{flag}", "PYTHONPATH": str(Path.cwd())}
        options = ("--max-pending-handshakes", "2000", "--write-stall-timeout", "600")
        with service(folder, *command, *options, **environment) as running:
            port = int(running.until("Serving at").split()[2].rpartition(":")[2])
            yield running, port, lives


async def restart(running: Service, times: int, words: str = "have been restarted") -> None:
    for _ in range(times):
        running.process.send_signal(signal.SIGHUP)
        await trio.to_thread.run_sync(running.until, words)
        print("restarted", flush=True)
        await trio.sleep(0.2)


async def connecting(running: Service, port: int, times: int, tally: Tally) -> None:
    """Restart under newcomers."""
    async with trio.open_nursery() as nursery:
        for path in ("/moving", "/staying", "/rooms/red", "/rooms/blue", "/rooms/green"):
            nursery.start_soon(connect_for_ever, port, path, tally)
        await trio.sleep(1)
        await restart(running, times)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()


async def echoing(running: Service, port: int, clients: int, times: int, tally: Tally) -> None:
    """Restart under clients that stay."""
    over = trio.Event()
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as bounded:
            for _ in range(10):
                bounded.start_soon(stall, port, "/moving", tally, over)
                nursery.start_soon(interrupt, port, "/moving", tally)
            for number in range(clients - 20):
                nursery.start_soon(echo_for_ever, port, "/moving", tally, clients / 1000)
                if number % 50 == 0:
                    await trio.sleep(0.1)
            await trio.sleep(1)
            await restart(running, times)
            over.set()
        nursery.cancel_scope.cancel()


async def dying(running: Service, port: int, flag: Path, tally: Tally) -> None:
    """Restart while a process dies at a step; the service is there afterwards."""
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(echo_for_ever, port, "/moving", tally)
        await trio.sleep(1)
        await trio.Path(flag).touch()
        running.process.send_signal(signal.SIGHUP)
        await trio.to_thread.run_sync(running.until, "restart")
        await trio.to_thread.run_sync(running.until, "restarted")
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    after = Tally()
    with trio.move_on_after(3):
        await connect_for_ever(port, "/moving", after)
    tally.faults += after.faults
    if not after.counts["answered"]:
        tally.fault("nobody is served after the restart")


def main(arguments: list[str]) -> int:
    """Do all rounds, and write the record."""
    clients = int(arguments[0]) if arguments else 1000
    times = int(arguments[1]) if len(arguments) > 1 else 20
    rows: list[tuple[str, str]] = []
    faults: list[str] = []
    with served(2) as (running, port, lives):
        tally = Tally()
        trio.run(connecting, running, port, times, tally)
        rows.append((f"{times} restarts of 2 workers under newcomers", told(tally.counts)))
        faults += tally.faults + overlaps(lives.read_text())
    with served(2) as (running, port, lives):
        tally = Tally()
        trio.run(echoing, running, port, clients, times // 2, tally)
        pause = f"the longest wait for two echoes was {tally.longest_pause:.2f} s"
        rows.append((f"{times // 2} restarts under {clients} clients that stay", f"{told(tally.counts)}; {pause}"))
        faults += tally.faults + overlaps(lives.read_text())
        if tally.counts["stalled: whole"] != 10:
            faults.append(f"stalled clients: {told(tally.counts)}")
        faults += [f"an echoing client ended: {name}" for name in tally.counts if name.startswith("echoing:")]
    for step, name in STEPS.items():
        with served(1, step) as (running, port, lives):
            tally = Tally()
            trio.run(dying, running, port, lives.with_name("flag"), tally)
            rows.append((f"SIGKILL of {name}, under 20 clients", told(tally.counts)))
            faults += tally.faults + overlaps(lives.read_text())
            bad = [name for name in tally.counts if name.startswith("echoing: closed") and "1012" not in name]
            faults += [f"{step}: {name}" for name in bad if "without" not in name]
    write(rows, faults)
    for row in (*rows, *(("FAULT", fault) for fault in faults)):
        print(": ".join(row))
    return 1 if faults else 0


def told(counts: Counter[str]) -> str:
    named = ((f"{count:,}".replace(",", " "), WORDS.get(name, name)) for name, count in sorted(counts.items()))
    return ", ".join(f"{count} {words}" for count, words in named)


def write(rows: list[tuple[str, str]], faults: list[str]) -> None:
    lines = [
        ".. Written by nox -s restarts.", "",
        f"Processes and clients shared {os.cpu_count()} processors, on {datetime.now(UTC):%Y-%m-%d}:", "",
        ".. list-table::", "   :header-rows: 1", "   :widths: 40 60", "", "   * - Round", "     - Seen by clients",
    ]  # fmt: skip
    for name, value in rows:
        lines += [f"   * - {name}", f"     - {value}"]
    lines += ["", *(f"* {fault}" for fault in faults[:20] or [NO_FAULTS]), ""]
    RECORD.write_text("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
