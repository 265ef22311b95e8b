"""``python -m tests.autobahn [CASES]``: the Autobahn suite against wsframe's echo server."""

import sys

import trio

import wsframe
from tests.autobahn.echo import registry
from tests.autobahn.run import main


async def check(cases: str) -> int:
    async with wsframe.open_server(registry=registry(), port=0) as server:
        return await trio.to_thread.run_sync(main, f"{server.addresses[0]}/echo", cases)


if __name__ == "__main__":
    sys.exit(trio.run(check, sys.argv[1] if len(sys.argv) > 1 else "quick"))
