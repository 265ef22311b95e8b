"""Results: single runs, their medians, and marks for doubtful ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.contestants import REFERENCE

__all__ = ["MARKS", "Figures", "Results", "Run", "Summary"]

GENERATOR_BOUND = 0.9
"""With this share of a CPU or more, the generator can have limited the run."""
WAITED = 0.1
"""The share of the time that server and generator are allowed to wait for a busy CPU."""
SPREAD = 0.2
"""The allowed spread of the costs of the rounds, as a fraction of their median."""

MARKS = {
    "g": "the generator was at its limit: the server could have done more",
    "w": "in every round something else ran on the CPUs",
    "s": f"the rounds lie more than {SPREAD:.0%} apart",
    "f": "a round failed",
}


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The measurements of one run; times are in seconds unless the name says otherwise."""

    messages: int
    seconds: float
    p50_us: float
    p99_us: float
    server_cpu: float
    generator_cpu: float
    waited: float
    """How long server and generator waited for a CPU; 0 if the kernel does not report it."""
    kib_per_client: float | None = None
    """The server's memory for each client; only in idle mode."""

    @classmethod
    def of(cls, report: dict[str, Any], kib_per_client: float | None) -> Figures:
        """Make the figures from the generator's report."""
        return cls(
            messages=report["messages"],
            seconds=report["seconds"],
            p50_us=report["latency_us"]["p50"],
            p99_us=report["latency_us"]["p99"],
            server_cpu=report["server_cpu"],
            generator_cpu=report["generator_cpu"],
            waited=report.get("server_waited", 0.0) + report.get("generator_waited", 0.0),
            kib_per_client=kib_per_client,
        )

    @property
    def cost(self) -> float:
        """The server's CPU time for each message in us; in idle mode, KiB for each client."""
        if self.kib_per_client is not None:
            return self.kib_per_client
        return self.server_cpu / max(self.messages, 1) * 1e6

    @property
    def rate(self) -> float:
        """Messages per second."""
        return self.messages / self.seconds

    @property
    def disturbed(self) -> bool:
        """Whether other processes used the CPUs for too long."""
        return self.waited > WAITED * self.seconds

    @property
    def generator_bound(self) -> bool:
        """Whether the generator was at its limit."""
        return self.generator_cpu > GENERATOR_BOUND * self.seconds


@dataclass(frozen=True, kw_only=True)
class Run:
    """One server in one scenario in one round: figures, or the reason of a failure."""

    server: str
    scenario: str
    round: int
    figures: Figures | None = None
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The medians of one server in one scenario."""

    cost: float
    ratio: float | None
    """The cost divided by wsframe's cost; None if that was not measured."""
    rate: float
    p50_us: float
    p99_us: float
    marks: str
    """Letters of :data:`MARKS`."""


@dataclass
class Results:
    """All runs, with the machine and the settings."""

    about: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    """The version of each server."""
    missing: dict[str, str] = field(default_factory=dict)
    """Requested servers that were not measured, with the reason."""
    runs: list[Run] = field(default_factory=list)

    def servers(self) -> list[str]:
        """Return the measured servers, in order."""
        return list(dict.fromkeys(run.server for run in self.runs))

    def scenarios(self) -> list[str]:
        """Return the measured scenarios, in order."""
        return list(dict.fromkeys(run.scenario for run in self.runs))

    def figures(self, server: str, scenario: str) -> list[Figures]:
        """Return the figures of the rounds that did not fail."""
        ours = (run for run in self.runs if (run.server, run.scenario) == (server, scenario))
        return [run.figures for run in ours if run.figures is not None]

    def failures(self) -> list[Run]:
        """Return the runs that failed."""
        return [run for run in self.runs if run.figures is None]

    def summary(self, server: str, scenario: str) -> Summary | None:
        """Return the medians; None if no round succeeded.

        Disturbed rounds count only if all were disturbed: disturbances make figures worse.
        """
        rounds = self.figures(server, scenario)
        counted = undisturbed(rounds)
        if not counted:
            return None
        cost = median(each.cost for each in counted)
        reference = undisturbed(self.figures(REFERENCE, scenario))
        to = median(each.cost for each in reference) if reference else 0
        failed = any((run.server, run.scenario) == (server, scenario) for run in self.failures())
        return Summary(
            cost=cost,
            ratio=cost / to if to else None,
            rate=median(each.rate for each in counted),
            p50_us=median(each.p50_us for each in counted),
            p99_us=median(each.p99_us for each in counted),
            marks=marks(counted) + ("f" if failed else ""),
        )

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read results that :meth:`write` wrote."""
        told = json.loads(path.read_text(encoding="utf-8"))
        runs = [
            Run(**{**run, "figures": None if run["figures"] is None else Figures(**run["figures"])})
            for run in told.pop("runs")
        ]
        return cls(**told, runs=runs)


def undisturbed(rounds: Sequence[Figures]) -> Sequence[Figures]:
    return [each for each in rounds if not each.disturbed] or rounds


def marks(counted: Iterable[Figures]) -> str:
    counted = list(counted)
    costs = [each.cost for each in counted]
    told = {
        "g": any(each.generator_bound for each in counted),
        "w": all(each.disturbed for each in counted),
        "s": max(costs) - min(costs) > SPREAD * median(costs),
    }
    return "".join(mark for mark, holds in told.items() if holds)
