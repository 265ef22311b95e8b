"""``python -m tests.simulate [SEEDS [WORKERS]]``: disturb clusters in memory by the faults of so many seeds.

The usual tests do the same with 50 seeds; splices and histories take fewer there. Each fault is replayed by its seed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from tests.simulate.record import note

SEEDS = 500
TESTS = (
    "tests/testing/test_cluster.py",
    "tests/testing/test_cluster_owners.py",
    "tests/testing/test_cluster_splices.py",
    "tests/integration/test_history.py",
)


def counted(report: Path) -> dict[str, dict[str, int]]:
    """Return how many cases each test with seeds has, and how many of them failed."""
    found: dict[str, dict[str, int]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name, bracket, _ = case.attrib["name"].partition("[")
        if bracket:
            one = found.setdefault(name, {"cases": 0, "failed": 0})
            one["cases"] += 1
            one["failed"] += case.find("failure") is not None or case.find("error") is not None
    return found


def main(seeds: int, workers: str) -> int:
    """Run the tests, and keep the record; return their exit status."""
    with TemporaryDirectory(prefix="wsframe-simulate-") as folder:
        report, began = Path(folder) / "report.xml", time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", workers, f"--junitxml={report}", *TESTS],
            env={**os.environ, "WSFRAME_SIMULATION_SEEDS": str(seeds)},
            check=False,
        )
        if report.exists():
            note(seeds, counted(report), time.monotonic() - began)
    return done.returncode


if __name__ == "__main__":
    seeds, workers = [*sys.argv[1:], *(str(SEEDS), "auto")[len(sys.argv) - 1 :]]
    sys.exit(main(int(seeds), workers))
