"""``python -m tests.recovery [PART ...]``: 1 000 clients in two storms, members through restart and death; the record.

The parts are ``storm``, in which the clients are on ten channels, ``one_channel``, in which each gets all publications,
``deploy`` and ``killed``.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from tests.recovery.members import deploy, killed
from tests.recovery.record import note
from tests.recovery.storm import Plan, storm

PLAN = Plan(
    clients=1_000, sdks=100, rate=100, channels=10, kept=100, late=20, flow=500, frozen=4, away=50, cut_every=0.02,
    patience=200,
)  # fmt: skip
PLANS = {"storm": PLAN, "one_channel": replace(PLAN, sdks=20, channels=1, kept=1_000, late=200)}
"""Each client has a tenth of all publications, or all of them."""


async def whole_storm(plan: Plan) -> dict[str, Any]:
    """Do a storm; return its account."""
    with TemporaryDirectory(prefix="wsframe-") as folder:
        async with storm(plan, Path(folder)) as done:
            ledger = done.ledger
    return {
        "clients": plan.clients, "size": plan.sdks, "publications": len(ledger.truth),
        "received": done.crowd.received, "counts": dict(ledger.counts),
        "sdks": done.sdk_report, "nodes": done.node_counts, "settled": done.settled_in,
        "seconds": sum(node.seconds for node in done.nodes), "failures": ledger.failures,
    }  # fmt: skip


PARTS = (*PLANS, "deploy", "killed")


async def done(name: str, clients: int) -> dict[str, Any]:
    """Do a part; return what was seen."""
    if name in PLANS:
        return await whole_storm(replace(PLANS[name], clients=clients))
    return await (deploy() if name == "deploy" else killed())


def main() -> None:
    """Do the parts that are named, or all; keep the record of those in which all was well."""
    parser = argparse.ArgumentParser(prog="python -m tests.recovery", description=__doc__)
    parser.add_argument("--clients", type=int, default=PLAN.clients, help="of a storm (default 1000, for the record)")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    arguments = parser.parse_args()
    failures = []
    for name in arguments.parts or PARTS:
        found = trio.run(done, name, arguments.clients)
        print(name, found, flush=True)
        failures += found["failures"]
        if not found["failures"] and (name not in PLANS or arguments.clients == PLAN.clients):
            note(name, found)
    if failures:
        sys.exit("\n".join(failures[:20]))


if __name__ == "__main__":
    main()
