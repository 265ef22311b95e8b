"""Measure what a second worker brings: ``python -m benchmarks.workers hooks|broadcast [--share S] [--rounds N]``.

``hooks``: clients of a shared path whose hook computes for 25 us. It prints the messages for each second of the
workers' CPU time with one worker and with two, and their ratio. ``broadcast``: one of 400 clients has all of them told.
It prints the deliveries per second with one worker and with two, which have the relay between them, and their ratio.
The load generator runs on the same processors. Both services run all the time, and are loaded in turn.

The generator takes nearly as much time for a delivery as a worker. On two processors one worker and the generator have
one each, and a second worker can only take from the generator. ``--share 0.5`` gives each worker half a processor, so
that the workers are the limit; it needs root.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.generator import Generator, build
from benchmarks.passing import workers_of
from benchmarks.processor_share import limited
from benchmarks.scenarios import Scenario
from benchmarks.serving import cpu_seconds

__all__ = ["main"]

COUNTS = (1, 2)
SCENARIOS = {
    "hooks": Scenario(name="hooks", about="64 clients, 4 in flight each", connections=64, window=4, text=True),
    "broadcast": Scenario(
        name="broadcast", about="400 clients", mode="broadcast", connections=400, window=4, text=True
    ),
}

PROGRAM = """
import sys
import time
import wsframe


class Busy(wsframe.Resource):
    scope = "shared"

    async def received_text(self, client, message):
        end = time.perf_counter() + 25e-6
        while time.perf_counter() < end:
            pass
        client.send_text(message)


class Everybody(wsframe.Resource):
    scope = "shared"

    async def received_text(self, client, message):
        self.broadcast_text(message)


wsframe.register_global_resource("/echo", Busy(), wsframe.any_origin)
wsframe.register_global_resource("/broadcast", Everybody(), wsframe.any_origin)
if __name__ == "__main__":
    wsframe.run(
        port=0, workers=int(sys.argv[1]), started=lambda server: print(server.addresses[0], flush=True),
        log_level="warning",
    )
"""


class Running(NamedTuple):
    """A service under test."""

    port: int
    workers: list[int]
    """Its processes."""


@contextmanager
def service(folder: Path, count: int) -> Iterator[Running]:
    """Serve with so many workers."""
    file = folder / "passing-program.py"
    file.write_text(PROGRAM)
    with subprocess.Popen([sys.executable, str(file), str(count)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().rpartition(":")[2])
            yield Running(port, workers_of(process.pid))
        finally:
            process.terminate()


def run(generator: Generator, scenario: Scenario, one: Running, seconds: float) -> tuple[float, float]:
    """Load a service; return messages per second, and messages for each second of its workers' CPU time."""
    with generator.load(scenario, one.port, seconds=seconds, warm_up=0.5, server=one.workers[0]) as load:
        load.wait_until_open()
        before = cpu_seconds(one.workers)
        report: dict[str, Any] = load.run()
        used = cpu_seconds(one.workers) - before
    return report["messages"] / report["seconds"], report["total"] / used


def measure(name: str, rounds: int, seconds: float, share: float | None) -> list[list[tuple[float, float]]]:
    """Measure the services in turn; return the figures of each, by round."""
    found: list[list[tuple[float, float]]] = [[] for _ in COUNTS]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        generator = build(folder)
        services = [stack.enter_context(service(folder, count)) for count in COUNTS]
        if share is not None:
            stack.enter_context(limited([pid for one in services for pid in one.workers], share))
        for number in range(rounds):
            turns = list(enumerate(services))
            for at, one in turns if number % 2 else reversed(turns):
                found[at].append(run(generator, SCENARIOS[name], one, seconds))
    return found


def main() -> None:
    """Measure, and print a line for each service and one for the ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    parser.add_argument("scenario", choices=SCENARIOS, help="what to measure")
    parser.add_argument("--rounds", type=int, default=11, help="number of rounds; default 11")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds to measure in each; default 2")
    parser.add_argument("--share", type=float, help="of a processor, for each worker, as 0.5; default: all it gets")
    options = parser.parse_args()
    figures = measure(options.scenario, options.rounds, options.seconds, options.share)
    which = 0 if options.scenario == "broadcast" else 1
    what = ("deliveries per second", "messages for each second of CPU time")[which]
    for count, one in zip(COUNTS, figures, strict=True):
        values = [figure[which] for figure in one]
        print(f"{count} workers: {median(values):.0f} {what} ({min(values):.0f} to {max(values):.0f})")
    ratios = [after[which] / before[which] for before, after in zip(*figures, strict=True)]
    print(f"2 workers to 1: {median(ratios):.3f} (worst {min(ratios):.3f})")


if __name__ == "__main__":
    main()
