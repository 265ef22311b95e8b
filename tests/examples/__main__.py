"""``python -m tests.examples``: all tests of the examples, their record and their pictures in the documents.

With ``WSFRAME_EXAMPLE_WORKERS`` it runs the usual tests with so many workers, and writes a record of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from importlib.metadata import version

import pytest

from tests.documents import ROOT
from tests.examples.running import WORKERS

RECORD = ROOT / "docs/examples-record.inc"
WORKERS_RECORD = ROOT / "docs/explanation/workers-examples.inc"


class Recorder:
    """Notes how each test has ended."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            path, _, test = report.nodeid.partition("::")
            self.outcomes[f"{path.rpartition('/')[2]}::{test}"] = report.outcome


def versions() -> str:
    from tests.examples.npm_packages import npm_version

    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    packages = [f"{name} {npm_version(name)}" for name in ("y-websocket", "yjs", "@novnc/novnc")]
    return ", ".join(
        [*packages, f"Node {node.lstrip('v')}", f"pycrdt {version('pycrdt')}", f"wsframe {version('wsframe')}"]
    )


def write_record(outcomes: dict[str, str]) -> None:
    """Write the outcomes of the files beyond the usual run."""
    extra = {name: outcome for name, outcome in outcomes.items() if "_npm.py" in name or "_page.py" in name}
    lines = ["Tested with " + versions() + ":", "", *(f"* ``{name}``: {extra[name]}" for name in sorted(extra)), ""]
    if extra:
        RECORD.write_text("\n".join(lines))


def write_workers_record(outcomes: dict[str, str]) -> None:
    """Write the outcomes with workers, by file."""
    files: dict[str, Counter[str]] = {}
    for name, outcome in outcomes.items():
        files.setdefault(name.partition("::")[0], Counter())[outcome] += 1
    lines = [".. Written by nox -s workers.", "", f"It also runs the tests of the examples with {WORKERS} workers:", ""]
    for name, counts in sorted(files.items()):
        lines.append(f"* ``{name}``: {', '.join(f'{count} {outcome}' for outcome, count in sorted(counts.items()))}")
    WORKERS_RECORD.write_text("\n".join([*lines, ""]))


def main() -> int:
    if not WORKERS:
        os.environ.update(WSFRAME_EXAMPLES="1", WSFRAME_PICTURES="1")
    os.environ["WSFRAME_REQUIRE_ALL"] = "1"
    recorder = Recorder()
    code = pytest.main(
        [
            "-q",
            "-p",
            "no:cacheprovider",
            "-W",
            "ignore::pytest.PytestAssertRewriteWarning",
            str(ROOT / "tests/examples"),
            *sys.argv[1:],
        ],
        [recorder],
    )
    if not WORKERS:
        write_record(recorder.outcomes)
    elif code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):  # it was not cut short
        write_workers_record(recorder.outcomes)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
