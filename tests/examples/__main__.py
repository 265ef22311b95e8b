"""``python -m tests.examples``: all tests of the examples, their record and their pictures in the documents."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from tests.documents import ROOT

RECORD = ROOT / "docs/examples-record.inc"


class Recorder:
    """Notes how each test of the files beyond the usual run has ended."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.nodeid.rpartition("/")[2]] = report.outcome


def versions() -> str:
    from tests.examples.npm_packages import npm_version

    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    packages = [f"{name} {npm_version(name)}" for name in ("y-websocket", "yjs", "@novnc/novnc")]
    return ", ".join(
        [*packages, f"Node {node.lstrip('v')}", f"pycrdt {version('pycrdt')}", f"wsframe {version('wsframe')}"]
    )


def main() -> int:
    os.environ.update(WSFRAME_EXAMPLES="1", WSFRAME_PICTURES="1", WSFRAME_REQUIRE_ALL="1")
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
    extra = {name: outcome for name, outcome in recorder.outcomes.items() if "_npm.py" in name or "_page.py" in name}
    lines = ["Tested with " + versions() + ":", "", *(f"* ``{name}``: {extra[name]}" for name in sorted(extra)), ""]
    if extra:
        RECORD.write_text("\n".join(lines))
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
