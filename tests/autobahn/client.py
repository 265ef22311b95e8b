"""Runs the Autobahn suite's fuzzing server against wsframe's own client.

``python -m tests.autobahn --client [CASES]``. The suite listens on every interface unless
told otherwise, so it is started through a line of Python that binds loopback.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import trio

import wsframe
from tests.autobahn.echo import LARGEST
from tests.autobahn.run import AGENT, SETS, Report
from tests.patience import PATIENCE
from tests.ports import free_port

__all__ = ["check_client"]

# Replaces the suite's listenWS, in Python 2.7: its own binds every interface, whatever the URL.
LOOPBACK = """
import sys
from autobahntestsuite import fuzzing, wstest
listen = fuzzing.listenWS
fuzzing.listenWS = lambda factory, context=None, backlog=50: listen(factory, context, backlog, "127.0.0.1")
sys.argv = ["wstest", "-u", "0", "-m", "fuzzingserver", "-s", sys.argv[1]]
wstest.run()
"""
LIMITS = wsframe.Limits(max_message=LARGEST, max_fragments=100_000, max_outbox=2 * LARGEST)
# The suite makes a case as slow as its slowest chop; a case may take a minute, and no ping may come between.
TIMEOUTS = wsframe.Timeouts(ping_interval=None)


def write_spec(cases: str, outdir: Path, url: str) -> Path:
    """Write the settings of the fuzzing server."""
    patterns = SETS.get(cases, cases).split(",")
    spec = outdir / "fuzzingserver.json"
    spec.write_text(
        json.dumps(
            {
                "url": url,
                "outdir": str(outdir),
                "cases": [pattern for pattern in patterns if not pattern.startswith("-")] or ["*"],
                "exclude-cases": [pattern[1:] for pattern in patterns if pattern.startswith("-")],
                "exclude-agent-cases": {},
            }
        )
    )
    return spec


async def echo(url: str, deflate: wsframe.Deflate | None) -> None:
    """Run one case: echo all messages, until it ends."""
    try:
        async with wsframe.connect(url, proxy=None, limits=LIMITS, timeouts=TIMEOUTS, deflate=deflate) as ws:
            async for message in ws:
                await ws.send(message)
    except wsframe.ConnectionClosed:
        pass  # many cases end in a violation, which is theirs to judge


async def reached(url: str) -> int:
    """Wait until the suite listens; return how many cases it has."""
    while True:
        try:
            async with wsframe.connect(f"{url}/getCaseCount", proxy=None) as ws:
                return int(await ws.receive())
        except OSError:
            await trio.sleep(0.1)


async def check_client(wstest: Path, cases: str, outdir: Path, deflate: wsframe.Deflate | None = None) -> Report:
    """Run a set of cases, or patterns, against the client.

    Raises:
        trio.TooSlowError: If the suite does not start.
    """
    url = f"ws://127.0.0.1:{free_port()}"
    command = [str(wstest.with_name("python")), "-c", LOOPBACK, str(write_spec(cases, outdir, url))]
    with (outdir / "wstest.log").open("wb") as log:
        suite = await trio.lowlevel.open_process(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        with trio.fail_after(PATIENCE):
            count = await reached(url)
        for case in range(1, count + 1):
            await echo(f"{url}/runCase?case={case}&agent={AGENT}", deflate)
        await echo(f"{url}/updateReports?agent={AGENT}", None)
    finally:
        suite.kill()
        with trio.CancelScope(shield=True):
            await suite.wait()
    return Report.read(outdir, planned=count)
