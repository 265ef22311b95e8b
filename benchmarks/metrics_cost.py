"""Measure the cost of metrics: ``python -m benchmarks.metrics_cost [--before FOLDER] [--rounds N] [--seconds S]``.

It loads servers in turn, round after round: one without a page of metrics, one whose page is scraped each second, a
copy from which the lines that count are taken out (``uncounted``), and with ``--before`` the wsframe of another
checkout, with its C extension built in place. It prints the medians of the processor time of a message, and of the
differences to the first in each round.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from benchmarks.contestants import CONTESTANTS, REFERENCE, Contestant
from benchmarks.generator import build
from benchmarks.rounds import Plan, run_rounds
from benchmarks.scenarios import SCENARIOS
from benchmarks.serving import CPUs, free_port
from benchmarks.uncounted import build_copy

__all__ = ["line", "main"]

LOADS = ("echo", "echo-16", "broadcast")

Costs = Mapping[tuple[str, str], Sequence[float]]
"""Microseconds of processor time of a message, by load and server, one of each round."""


def main() -> None:
    """Measure, and print a line for each load and server."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics_cost", description=__doc__)
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="also measure the wsframe of this checkout")
    parser.add_argument("--rounds", type=int, default=9, help="number of rounds; default 9")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds to measure in each run; default 1")
    options = parser.parse_args()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, scraping(f"http://127.0.0.1:{port}/metrics"):
        uncounted = build_copy(Path(folder) / "uncounted", counters=False)
        costs = measure(contestants(port, uncounted, options.before), options.rounds, options.seconds)
    for load, server in costs:
        print(line(load, server, costs))


def contestants(port: int, uncounted: Path, before: Path | None) -> list[Contestant]:
    own = next(one for one in CONTESTANTS if one.name == REFERENCE)
    found = [own, replace(own, name="scraped", arguments=("--metrics-port", str(port)))]
    others = {"uncounted": uncounted} | ({} if before is None else {"before": before})
    for name, package in others.items():
        found.append(replace(own, name=name, environment={"PYTHONPATH": str(package.resolve())}))
    return found


def measure(servers: Sequence[Contestant], rounds: int, seconds: float) -> Costs:
    """Measure all servers under all loads, in turn."""
    costs: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(
            servers=servers,
            scenarios=[SCENARIOS[name] for name in LOADS],
            generator=build(Path(folder)),
            cpus=CPUs.choose(),
            logs=Path(folder),
            rounds=rounds,
            seconds=seconds,
        )
        for run in run_rounds(plan):
            if run.figures is None:
                raise SystemExit(f"{run.scenario} {run.server}: {run.failure}")
            costs[run.scenario, run.server].append(run.figures.cost)
    return costs


@contextmanager
def scraping(page: str) -> Iterator[None]:
    """Ask for a page each second, whenever there is a server."""
    over = threading.Event()
    opener = build_opener(ProxyHandler({}))

    def scrape() -> None:
        while not over.wait(1):
            try:
                opener.open(page, timeout=5).read()
            except (URLError, OSError):
                continue

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def line(load: str, server: str, costs: Costs) -> str:
    """Describe the cost of one server under one load, beside that of the first."""
    own, reference = costs[load, server], costs[load, REFERENCE]
    differences = [one / other - 1 for one, other in zip(own, reference, strict=True)]
    return f"{load:10} {server:10} {median(own):8.2f} us a message  {median(differences):+7.1%}"


if __name__ == "__main__":
    main()
