"""``python -m tests.foreign [ARGUMENTS OF PYTEST]``: try all peers that are installed, and write the record of it."""

from __future__ import annotations

import os
import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tests.foreign.peers import PEERS, PROXIES, Peer, Proxy

RECORD = Path(__file__).parents[2] / "docs/explanation/foreign-peers.rst"

HEAD = """\
Foreign peers
=============

.. Written by nox -s foreign, as is all of this page.

Clients, servers and proxies of other makers, each with wsframe at the other end: echoes of text and binary up to
1 MiB, compressed too, in fragments; pings both ways; every close code with its reason, both ways; refusals. The steps
are the tests in ``tests/foreign``. These are their results on {day}. The tests leave out each deviation under
*Differs*, or expect it.

.. list-table::
   :header-rows: 1
   :widths: 14 34 12 12 28

   * - Peer
     - Installed
     - Client
     - Server
     - Differs
"""

PROXIES_HEAD = """
Proxies, with our client on one side and our server on the other:

.. list-table::
   :header-rows: 1
   :widths: 14 60 26

   * - Proxy
     - Installed
     - Passed
"""


class Recorder:
    """A plugin that notes the tests that passed."""

    def __init__(self) -> None:
        self.results: dict[tuple[str, str], dict[str, bool]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.skipped:
            self.note(report.nodeid, report.passed)

    def note(self, test: str, passed: bool) -> None:
        """Note how one phase of a test ended."""
        name = re.search(r"test_(clients|servers|proxies)\.py::(test_\w+)\[(.+)\]$", test)
        if name is not None:
            part, step, peer = name.groups()
            steps = self.results[part, peer]
            steps[step] = steps.get(step, True) and passed


def installed(peer: Peer | Proxy) -> str:
    try:
        return peer.version()
    except (pytest.skip.Exception, pytest.fail.Exception):
        return ""


def told(steps: dict[str, bool]) -> str:
    """Say how many steps passed, and which did not."""
    if not steps:
        return "\N{EN DASH}"
    failed = [f"``{step}``" for step, passed in steps.items() if not passed]
    return f"{len(steps) - len(failed)} of {len(steps)}{': not ' if failed else ''}{', '.join(failed)}"


def differences(peer: Peer) -> str:
    """Name the differences of the peer, those with the same reason together."""
    names: dict[str, list[str]] = defaultdict(list)
    for name, reason in peer.differs.items():
        names[reason].append(name)
    told = [f"{', '.join(found)}: {reason}" for reason, found in names.items()]
    told += [f"its users cannot send {name.removesuffix('s')}s" for name, said in peer.says.items() if said == "cannot"]
    told += [] if peer.compresses else ["does not compress"]
    return "; ".join(told)


def page(results: dict[tuple[str, str], dict[str, bool]], versions: Mapping[str, str], day: date) -> str:
    """Write the record; ``versions`` has those of the peers that are installed."""
    lines = [HEAD.format(day=day)]
    for peer in PEERS:
        cells = [told(results[part, peer.name]) for part in ("clients", "servers")]
        lines.append(row(peer.name, versions.get(peer.name, "not installed"), *cells, differences(peer)))
    lines.append(PROXIES_HEAD)
    lines += [
        row(proxy.name, versions.get(proxy.name, "not installed"), told(results["proxies", proxy.name]))
        for proxy in PROXIES
    ]
    return "".join(lines)


def row(*cells: str) -> str:
    first, *rest = (cell or "\N{EN DASH}" for cell in cells)
    return f"   * - {first}\n" + "".join(f"     - {cell}\n" for cell in rest)


if __name__ == "__main__":
    os.environ["WSFRAME_FOREIGN"] = "1"
    recorder = Recorder()
    here = Path(__file__).parent
    # That test is about the record of the last time; and the list of peers has imported wsframe by now.
    options = [f"--ignore={here / 'test_record.py'}", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    status = pytest.main([str(here), *options, *sys.argv[1:]], plugins=[recorder])
    versions = {peer.name: version for peer in (*PEERS, *PROXIES) if (version := installed(peer))}
    RECORD.write_text(page(recorder.results, versions, datetime.now(UTC).date()))
    sys.exit(status)
