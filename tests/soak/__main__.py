"""``python -m tests.soak [SECONDS [FOLDER]]``: 10 minutes into ``soak-report/``, unless said otherwise."""

import sys
from pathlib import Path

import trio

from tests.soak.growth import percentile, verdict
from tests.soak.load import Load, serving
from tests.soak.report import write_report


def main(arguments: list[str]) -> int:
    seconds = float(arguments[0]) if arguments else 600.0
    folder = Path(arguments[1] if len(arguments) > 1 else "soak-report")
    with serving() as (pid, address):
        load = Load(pid, address)
        before, after = trio.run(load.run, seconds)
    lines, faults = verdict(load.samples, before, after)
    faults += load.faults
    p50, p99 = (1000 * percentile(load.latencies, part) for part in (0.5, 0.99))
    figures = [("seconds", f"{seconds:.0f}"), *((name, str(count)) for name, count in sorted(load.counts.items()))]
    figures.append(("echo, ms", f"p50 {p50:.2f}, p99 {p99:.2f}"))
    figures.append(("resident MiB", f"{before.resident_kib / 1024:.1f} before, {after.resident_kib / 1024:.1f} after"))
    write_report(folder, load.samples, figures + lines, faults)
    for name, value in figures + lines:
        print(f"{name}: {value}")
    for fault in faults:
        print(f"FAULT: {fault}")
    print(f"report: {folder / 'index.html'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
