"""``python -m tests.autobahn [CASES] [--poller P] [--deflate D] [--tls]``: the suite against wsframe's echo server.

With ``--client`` against wsframe's own client instead.
"""

import argparse
import ssl
import sys
import tempfile
from pathlib import Path

import trio
import trustme

import wsframe
from tests.autobahn.client import check_client
from tests.autobahn.echo import DEFLATES, registry
from tests.autobahn.install import install
from tests.autobahn.relay import relay_to_tls
from tests.autobahn.run import main
from wsframe.net.poller import PollerName


async def check(cases: str, deflate: str, poller: PollerName, *, tls: bool) -> int:
    """Run the suite; return its exit status."""
    context = None
    authority = trustme.CA()
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
    options = DEFLATES[deflate]
    async with wsframe.open_server(registry(), port=0, poller=poller, ssl_context=context, deflate=options) as server:
        address = server.addresses[0]
        async with trio.open_nursery() as nursery:
            if tls:
                trusting = ssl.create_default_context()
                authority.configure_trust(trusting)
                address = await nursery.start(relay_to_tls, address, trusting)
            status = await trio.to_thread.run_sync(main, f"{address}/echo", cases)
            nursery.cancel_scope.cancel()
    return status


async def check_ours(cases: str, deflate: str) -> int:
    """Run the suite against our client; return the exit status."""
    outdir = Path(tempfile.mkdtemp(prefix="autobahn-"))
    report = await check_client(await trio.to_thread.run_sync(install), cases, outdir, DEFLATES[deflate])
    print(f"{report}\ndetails: {outdir / 'index.html'}")
    return 1 if report.faults else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.autobahn")
    parser.add_argument("cases", nargs="?", default="quick", help="quick, core, all, or patterns")
    parser.add_argument("--poller", default="auto", choices=["auto", "epoll", "task"])
    parser.add_argument("--deflate", default="shared", choices=sorted(DEFLATES))
    parser.add_argument("--tls", action="store_true", help="serve TLS, with a relay for the suite, which has none")
    parser.add_argument("--client", action="store_true", help="check our client; poller and tls are for the server")
    return parser.parse_args()


if __name__ == "__main__":
    given = parse()

    async def check_given() -> int:
        if given.client:
            return await check_ours(given.cases, given.deflate)
        return await check(given.cases, given.deflate, given.poller, tls=given.tls)

    sys.exit(trio.run(check_given))
