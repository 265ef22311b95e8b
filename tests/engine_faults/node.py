"""``python -m tests.engine_faults.node URL ENGINE``: a node that prints its account for each line it reads."""

from __future__ import annotations

import json
import resource
import sys

import trio

from tests.backplane.faults import TOPIC, Account
from tests.engine_faults.trying import made


async def main(url: str, engine: str) -> None:
    """Count until stdin ends."""
    account = Account()
    backplane = made(url, engine)
    backplane.want([TOPIC])
    async with trio.open_nursery() as nursery:
        await nursery.start(backplane.run, "node", account)
        await account.until(lambda: account.wanted_topics)
        while await trio.to_thread.run_sync(sys.stdin.readline):
            report = {
                "last": account.last,
                "holes": account.holes,
                "missing": account.missing,
                "untold": account.untold,
                "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }
            print(json.dumps(report), flush=True)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2])
