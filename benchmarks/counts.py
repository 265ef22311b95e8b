"""Count system calls or function calls for each message: figures that other load does not disturb."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.contestants import Contestant
from benchmarks.rounds import Plan
from benchmarks.scenarios import Scenario
from benchmarks.serving import Serving, serving

__all__ = ["COUNTERS", "Calls", "count_calls", "describe"]

TOP = 15
PATIENCE = 30


@dataclass(frozen=True, kw_only=True)
class Calls:
    """The calls of one server in one scenario."""

    server: str
    scenario: str
    messages: int
    calls: Counter[str]

    @property
    def each(self) -> float:
        """Calls for each message."""
        return self.calls.total() / max(self.messages, 1)


@contextmanager
def system_calls(server: Serving) -> Iterator[Counter[str]]:
    """Count the system calls of a server while the body runs; the counter is filled at the end."""
    counted: Counter[str] = Counter()
    command = [shutil.which("strace") or "strace", "-f", "-c", "-p", str(server.pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        attached = tracer.stderr.readline()
        if "attached" not in attached:
            raise OSError(attached.strip() or "strace did not start: is it installed, and is ptrace allowed?")
        try:
            yield counted
        finally:
            tracer.send_signal(signal.SIGINT)
            counted.update(read_strace(tracer.communicate(timeout=PATIENCE)[1]))


def read_strace(table: str) -> Counter[str]:
    """Read the table of ``strace -c``: calls in the fourth column, the name in the last."""
    lines = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) .*?(\w+)$", table, re.MULTILINE)
    return Counter({name: int(times) for times, name in lines if name != "total"})


@contextmanager
def python_calls(server: Serving) -> Iterator[Counter[str]]:
    """Count the calls of functions, those in C in one sum, while the body runs."""
    counted: Counter[str] = Counter()
    before = read_calls(server)
    yield counted
    counted.update(read_calls(server) - before)


def read_calls(server: Serving) -> Counter[str]:
    told = json.loads(server.calls())
    calls: Counter[str] = Counter({"(functions in C)": sum(told["builtin"].values())})
    for name, times in told["python"].items():
        calls[re.sub(r"^.*/(site-packages|python3\.\d+|(?=servers/|wsframe/))/?", "", name)] += times
    return calls


COUNTERS: dict[str, Callable[[Serving], AbstractContextManager[Counter[str]]]] = {
    "system": system_calls,
    "python": python_calls,
}
"""The counters, by name."""


def count_calls(plan: Plan, counter: str) -> Iterator[Calls]:
    """Count for each server in each scenario, once."""
    for scenario in plan.scenarios:
        for contestant in plan.servers:
            if plan.possible(contestant, scenario) and scenario.mode != "idle":
                yield count(plan, contestant, scenario, counter)


def count(plan: Plan, contestant: Contestant, scenario: Scenario, counter: str) -> Calls:
    # Without a warm-up, all messages are counted, and the calls for opening are not.
    plan = replace(plan, warm_up=0.0)
    log: Path = plan.log_of(contestant)
    certificate = plan.certificate_for(scenario)
    with serving(
        contestant,
        log=log,
        cpus=plan.cpus,
        certificate=certificate,
        deflate=scenario.deflate,
        counting=counter == "python",
    ) as server:
        load = plan.generator.load(scenario, server.port, seconds=plan.seconds, warm_up=0, server=server.pid)
        with load as running:
            running.wait_until_open()
            with COUNTERS[counter](server) as counted:
                messages = running.run()["total"]
    return Calls(server=contestant.name, scenario=scenario.name, messages=messages, calls=counted)


def describe(calls: Calls) -> str:
    """Return the most frequent calls, for each message."""
    lines = [f"{calls.server}, {calls.scenario}: {calls.each:.2f} calls for each of {calls.messages} messages"]
    lines += [f"{times / max(calls.messages, 1):9.3f}  {name}" for name, times in calls.calls.most_common(TOP)]
    return "\n".join(lines)
