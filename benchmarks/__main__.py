"""``python -m benchmarks``: measure wsframe and other servers, print tables, write them and pictures."""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.contestants import CONTESTANTS, REFERENCE, Contestant, find_installed
from benchmarks.counts import COUNTERS, count_calls, describe
from benchmarks.generator import Generator, build
from benchmarks.page import write_page
from benchmarks.plots import draw
from benchmarks.results import Results, Run
from benchmarks.rounds import Plan, run_rounds
from benchmarks.scenarios import SCENARIOS, SERIES, Scenario, choose
from benchmarks.serving import CPUs
from benchmarks.tables import number, write_tables

__all__ = ["main"]


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    names = ", ".join(series.name for series in SERIES)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--servers", metavar="NAMES", help="names separated by commas; default: all installed servers")
    add(
        "--scenarios",
        metavar="NAMES",
        default="usual",
        help=f"usual (the default), recorded, all, a series ({names}), or single ones",
    )
    add("--rounds", type=int, default=3, help="number of rounds; default 3")
    add("--seconds", type=float, default=2.0, help="seconds to measure in each run; default 2")
    add("--warm-up", type=float, default=0.5, metavar="SECONDS", help="seconds of load before measuring; default 0.5")
    add(
        "--output",
        type=Path,
        default=Path("bench-report"),
        metavar="FOLDER",
        help="folder for the results; default bench-report",
    )
    add("--python", default=sys.executable, metavar="PATH", help="interpreter with the other servers installed")
    add(
        "--also",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="also measure the wsframe of that interpreter, under that name",
    )
    add("--cpus", metavar="SERVER,GENERATOR", help="the CPUs to use; default the last and the first")
    add(
        "--count",
        choices=list(COUNTERS),
        help="count system calls (needs strace) or Python calls instead of measuring time",
    )
    add("--show", type=Path, metavar="FILE", help="only write tables and pictures of a results.json")
    add("--list", action="store_true", help="print the names of servers and scenarios")
    return parser  # fmt: skip


def contestants_of(options: argparse.Namespace) -> list[Contestant]:
    own = CONTESTANTS[0]
    assert own.name == REFERENCE
    known = {who.name: who for who in CONTESTANTS}
    wanted = options.servers.split(",") if options.servers else list(known)
    for name, _, python in (pair.partition("=") for pair in options.also):
        known[name] = replace(own, name=name, python=python)
        wanted.append(name)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SystemExit(f"unknown server: {', '.join(unknown)}; --list names all")
    return [known[name] for name in wanted]


def scenarios_of(options: argparse.Namespace) -> list[Scenario]:
    try:
        return choose(options.scenarios.split(","))
    except KeyError as unknown:
        raise SystemExit(f"unknown scenario: {unknown.args[0]}; --list names all") from None


def make_certificate(folder: Path) -> Path | None:
    """Write a certificate with its key; return None if trustme is not installed."""
    try:
        import trustme
    except ImportError:
        return None
    path = folder / "certificate.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(path))
    return path


def describe_machine(options: argparse.Namespace, cpus: CPUs, arguments: Sequence[str]) -> dict[str, str]:
    """Describe the machine and the settings."""
    return {
        "command": shlex.join(["python", "-m", "benchmarks", *arguments]),
        "machine": f"{platform.platform()}, {os.cpu_count()} CPUs",
        "started": time.strftime("%Y-%m-%d %H:%M %z"),
        "rounds": f"{options.rounds} of {options.seconds:g} s after {options.warm_up:g} s",
        "CPUs": "not pinned" if cpus.server is None else f"server {cpus.server}, generator {cpus.generator}",
    }


def show(results: Results, folder: Path) -> None:
    """Write and print all output of the results."""
    results.write(folder / "results.json")
    text = write_tables(results)
    (folder / "results.rst").write_text(text, encoding="utf-8")
    try:
        pictures = draw(results, folder)
    except ImportError:
        pictures = []
        print("no pictures: matplotlib is not installed", file=sys.stderr)
    write_page(results, pictures, folder / "index.html")
    print(text)
    print(f"report: {folder / 'index.html'}")


def progress(run: Run) -> str:
    """Return a line with the outcome of a run."""
    where = f"round {run.round + 1}  {run.scenario:14} {run.server:16}"
    if run.figures is None:
        return f"{where} FAILED: {run.failure}"
    unit = "us" if run.figures.kib_per_client is None else "KiB"
    return f"{where} {number(run.figures.cost):>8} {unit}" + ("  disturbed" if run.figures.disturbed else "")


def measure(options: argparse.Namespace, plan: Plan, results: Results) -> None:
    for run in run_rounds(plan):
        results.runs.append(run)
        print(progress(run), file=sys.stderr, flush=True)
        results.write(options.output / "results.json")
    show(results, options.output)


def count(options: argparse.Namespace, plan: Plan) -> None:
    told = []
    for calls in count_calls(plan, options.count):
        told.append(describe(calls) + "\n")
        print(told[-1], flush=True)
    (options.output / f"{options.count}-calls.txt").write_text("\n".join(told), encoding="utf-8")


def plan_of(
    options: argparse.Namespace, servers: list[Contestant], generator: Generator, cpus: CPUs, scratch: Path
) -> Plan:
    logs = options.output / "logs"
    logs.mkdir(exist_ok=True)
    return Plan(
        servers=servers,
        scenarios=scenarios_of(options),
        generator=generator,
        cpus=cpus,
        logs=logs,
        certificate=make_certificate(scratch),
        rounds=options.rounds,
        seconds=options.seconds,
        warm_up=options.warm_up,
    )


def main(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit status."""
    options = make_parser().parse_args(arguments)
    if options.list:
        print("servers:", *(f"  {who.name}" for who in CONTESTANTS), sep="\n")
        print("scenarios:", *(f"  {each.name:14} {each.about}" for each in SCENARIOS.values()), sep="\n")
        return 0
    options.output.mkdir(parents=True, exist_ok=True)
    if options.show:
        show(Results.read(options.show), options.output)
        return 0
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    servers, missing = find_installed(contestants_of(options), options.python)
    cpus = CPUs(*map(int, options.cpus.split(","))) if options.cpus else CPUs.choose()
    with tempfile.TemporaryDirectory() as scratch:
        plan = plan_of(options, servers, build(Path(scratch)), cpus, Path(scratch))
        secure = [scenario.name for scenario in plan.scenarios if scenario.tls]
        if secure and not (plan.certificate and plan.generator.tls):
            missing |= dict.fromkeys(secure, "TLS needs trustme here, and OpenSSL's headers for the generator")
        packed = [scenario.name for scenario in plan.scenarios if scenario.deflate]
        if packed and not plan.generator.deflate:
            missing |= dict.fromkeys(packed, "compression needs zlib's header for the generator")
        for name, why in missing.items():
            print(f"left out: {name}: {why}", file=sys.stderr)
        if options.count:
            count(options, plan)
        else:
            versions = {who.name: who.version for who in servers}
            measure(options, plan, Results(describe_machine(options, cpus, arguments), versions, missing))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
