"""Runs the Autobahn suite's fuzzing client against a WebSocket echo server.

``python -m tests.autobahn.run URL [CASES]``, where CASES is

* ``quick`` (the default): the 247 cases without 9.* (large messages), 12.* and 13.*
  (compression); about ten seconds;
* ``core``: quick and 9.*, without compression;
* ``all``: the 517 cases; many minutes;
* or patterns set apart by commas, excluding with a leading ``-``: ``'6.*,-6.4.*'``.

The exit status is 0 if every case passed strictly and closed well, 1 if not, 2 if the suite could not run.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.autobahn.install import NoPython27, install

__all__ = ["Report", "main", "run"]

SETS = {"quick": "*,-9.*,-12.*,-13.*", "core": "*,-12.*,-13.*", "all": "*"}
AGENT = "server"
# INFORMATIONAL: the specification leaves the behaviour of these cases open.
GOOD = ("OK", "INFORMATIONAL")


@dataclass(frozen=True)
class Report:
    """The results of a run of the suite: the cases by behaviour, and by behaviour in closing."""

    behaviour: dict[str, list[str]]
    closing: dict[str, list[str]]
    planned: int

    @classmethod
    def read(cls, outdir: Path, planned: int | None = None) -> Self:
        """Read the results that the suite wrote to this folder; as a client it logs how many cases were planned."""
        if planned is None:
            log = (outdir / "wstest.log").read_text(errors="replace")
            found = re.search(r"will run (\d+) test cases", log)
            if found is None:
                raise RuntimeError(f"the suite did not start:\n{log[-2000:]}")
            planned = int(found[1])
        index = outdir / "index.json"
        results = json.loads(index.read_text()).get(AGENT, {}) if index.exists() else {}
        behaviour, closing = defaultdict(list), defaultdict(list)
        for case in sorted(results, key=lambda case: [int(number) for number in case.split(".")]):
            behaviour[results[case]["behavior"]].append(case)
            closing[results[case]["behaviorClose"]].append(case)
        return cls(dict(behaviour), dict(closing), planned)

    @property
    def missing(self) -> int:
        """How many planned cases have no result: the server refused them, or could not be reached."""
        return self.planned - sum(map(len, self.behaviour.values()))

    @property
    def bad(self) -> list[str]:
        """The cases with a bad result."""
        kinds = [*self.behaviour.items(), *self.closing.items()]
        return sorted({case for kind, cases in kinds if kind not in GOOD for case in cases})

    @property
    def faults(self) -> list[str]:
        """One line for each kind of bad result, with its cases; empty if all passed."""
        lines = [f"{kind}: {' '.join(cases)}" for kind, cases in self.behaviour.items() if kind not in GOOD]
        lines += [f"closing {kind}: {' '.join(cases)}" for kind, cases in self.closing.items() if kind not in GOOD]
        if self.missing or not self.planned:
            lines.append(f"missing: {self.missing} of {self.planned} cases")
        return lines

    def __str__(self) -> str:
        counts = ", ".join(f"{len(cases)} {kind}" for kind, cases in sorted(self.behaviour.items()))
        return "\n".join([*self.faults, f"autobahn: {self.planned} cases: {counts or 'no results'}"])


def run(wstest: Path, url: str, cases: str, outdir: Path, *, limit: float = 3600) -> Report:
    """Run a set of cases, or patterns, against the server at ``url``, for at most ``limit`` seconds.

    Raises:
        subprocess.TimeoutExpired: If the suite took longer.
        RuntimeError: If the suite did not start.
    """
    patterns = SETS.get(cases, cases).split(",")
    spec = outdir / "fuzzingclient.json"
    spec.write_text(
        json.dumps(
            {
                "outdir": str(outdir),
                "servers": [{"agent": AGENT, "url": url}],
                "cases": [pattern for pattern in patterns if not pattern.startswith("-")] or ["*"],
                "exclude-cases": [pattern[1:] for pattern in patterns if pattern.startswith("-")],
                "exclude-agent-cases": {},
            }
        )
    )
    with (outdir / "wstest.log").open("wb") as log:
        # Its exit status is 0 even if it cannot reach the server: the report alone tells.
        command = [str(wstest), "-m", "fuzzingclient", "-s", str(spec)]
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, timeout=limit, check=False)
    return Report.read(outdir)


def main(url: str, cases: str = "quick") -> int:
    """Install the suite if need be, run it, print the report, and return the exit status."""
    try:
        wstest = install()
        outdir = Path(tempfile.mkdtemp(prefix="autobahn-"))
        report = run(wstest, url, cases, outdir)
    except subprocess.CalledProcessError as error:
        print(error, error.stderr, sep="\n", file=sys.stderr)
        return 2
    except (NoPython27, subprocess.TimeoutExpired, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{report}\ndetails: {outdir / 'index.html'}")
    return 1 if report.faults else 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
