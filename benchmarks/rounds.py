"""Run many measurements, interleaved, so that changes of the machine affect all servers alike."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import Contestant
from benchmarks.generator import Generator, LoadFailed
from benchmarks.results import Figures, Run
from benchmarks.scenarios import Scenario
from benchmarks.serving import CPUs, ServingFailed, memory_kib, pin, serving

__all__ = ["Plan", "run_rounds"]

# Seconds for a server to finish opening its clients, before its memory is measured.
SETTLE = 0.3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The servers and scenarios to measure, and the tools."""

    servers: Sequence[Contestant]
    scenarios: Sequence[Scenario]
    generator: Generator
    cpus: CPUs
    logs: Path
    certificate: Path | None = None
    rounds: int = 3
    seconds: float = 2.0
    warm_up: float = 0.5

    def possible(self, contestant: Contestant, scenario: Scenario) -> bool:
        """Return whether a server can run a scenario here."""
        if scenario.programs and contestant.program not in scenario.programs:
            return False
        secure = not scenario.tls or (contestant.tls and self.certificate is not None and self.generator.tls)
        return secure and (not scenario.deflate or (contestant.deflate and self.generator.deflate))

    def certificate_for(self, scenario: Scenario) -> Path | None:
        """Return the certificate, if the scenario uses TLS."""
        return self.certificate if scenario.tls else None

    def log_of(self, contestant: Contestant) -> Path:
        """Return the file for a server's standard error."""
        return self.logs / f"{contestant.name}.log"


def run_rounds(plan: Plan) -> Iterator[Run]:
    """Measure every server in every scenario, in rounds; each round begins with another server."""
    for number in range(plan.rounds):
        for scenario in plan.scenarios:
            able = [contestant for contestant in plan.servers if plan.possible(contestant, scenario)]
            first = number * len(able) // plan.rounds
            for contestant in able[first:] + able[:first]:
                yield measure(plan, contestant, scenario, number)


def measure(plan: Plan, contestant: Contestant, scenario: Scenario, number: int) -> Run:
    """Measure one server in one scenario once."""
    try:
        figures = measure_figures(plan, contestant, scenario)
    except (LoadFailed, ServingFailed) as failure:
        return Run(server=contestant.name, scenario=scenario.name, round=number, failure=str(failure))
    return Run(server=contestant.name, scenario=scenario.name, round=number, figures=figures)


def measure_figures(plan: Plan, contestant: Contestant, scenario: Scenario) -> Figures:
    certificate = plan.certificate_for(scenario)
    log = plan.log_of(contestant)
    with serving(contestant, log=log, cpus=plan.cpus, certificate=certificate, deflate=scenario.deflate) as server:
        empty = memory_kib(server.pid)
        load = plan.generator.load(scenario, server.port, seconds=plan.seconds, warm_up=plan.warm_up, server=server.pid)
        with load as running:
            pin(running.pid, plan.cpus.generator)
            running.wait_until_open()
            per_client = None
            if scenario.mode == "idle":
                time.sleep(SETTLE)
                per_client = (memory_kib(server.pid) - empty) / scenario.connections
            return Figures.of(running.run(), per_client)
