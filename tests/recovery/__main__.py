"""``python -m tests.recovery [PART ...]``: 1 000 clients in a storm, members through restart and death; the record."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from tests.recovery.members import deploy, killed
from tests.recovery.record import note
from tests.recovery.storm import Plan, storm

PLAN = Plan(
    clients=1_000, sdks=20, rate=100, channels=10, kept=100, flow=500, frozen=4, away=50, cut_every=0.02, patience=200,
)  # fmt: skip


async def whole_storm(clients: int = PLAN.clients) -> dict[str, Any]:
    """Do the storm; return its account."""
    with TemporaryDirectory(prefix="wsframe-") as folder:
        async with storm(replace(PLAN, clients=clients), Path(folder)) as done:
            ledger = done.ledger
    return {
        "clients": clients, "size": PLAN.sdks, "publications": len(ledger.truth), "counts": dict(ledger.counts),
        "sdks": done.sdk_report, "nodes": done.node_counts, "settled": done.settled_in,
        "seconds": sum(node.seconds for node in done.nodes), "failures": ledger.failures,
    }  # fmt: skip


PARTS = {"storm": whole_storm, "deploy": deploy, "killed": killed}


def main() -> None:
    """Do the parts that are named, or all; keep the record of those in which all was well."""
    parser = argparse.ArgumentParser(prog="python -m tests.recovery", description=__doc__)
    parser.add_argument("--clients", type=int, default=PLAN.clients, help="of the storm (default 1000, for the record)")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    arguments = parser.parse_args()
    failures = []
    for name in arguments.parts or PARTS:
        found = trio.run(PARTS[name] if name != "storm" else partial(whole_storm, arguments.clients))
        print(name, found, flush=True)
        failures += found["failures"]
        if not found["failures"] and (name != "storm" or arguments.clients == PLAN.clients):
            note(name, found)
    if failures:
        sys.exit("\n".join(failures[:20]))


if __name__ == "__main__":
    main()
