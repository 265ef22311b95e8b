"""The Autobahn suite's quick set passes strictly: no case fails, is lenient or closes badly."""

import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

import wsframe
from tests.autobahn.client import check_client
from tests.autobahn.echo import registry
from tests.autobahn.install import NoPython27, install
from tests.autobahn.run import Report, run
from tests.patience import PATIENCE
from tests.requirements import missing
from wsframe.net.poller import PollerName

BANNER = """
{line}
THE AUTOBAHN CONFORMANCE SUITE WAS NOT RUN
{why}.
RFC 6455 conformance is not checked by this test run.
{line}
"""


@pytest.fixture
def wstest(capsys: pytest.CaptureFixture[str]) -> Path:
    try:
        return install()
    except NoPython27 as why:
        # The one program that few machines have and no package manager offers: always a skip, but a loud one.
        with capsys.disabled():
            print(BANNER.format(line="!" * 70, why=why))
        pytest.skip(str(why))
    except subprocess.CalledProcessError as error:
        missing(f"the Autobahn suite cannot be installed: {error.stderr}")


async def strictly(run_cases: Callable[[str, Path], Awaitable[Report]], folder: Path) -> None:
    """Run the quick set, and once again the cases that fail: some of them give a busy machine half a second."""
    report = await run_cases("quick", folder)
    if report.bad and not report.missing:
        again = folder / "again"
        again.mkdir()
        report = await run_cases(",".join(report.bad), again)
    assert report.faults == []


async def test_quick_set(wstest: Path, tmp_path: Path, poller: PollerName) -> None:
    async with wsframe.open_server(registry=registry(), port=0, poller=poller) as server:
        url = f"{server.addresses[0]}/echo"

        async def run_cases(cases: str, folder: Path) -> Report:
            return await trio.to_thread.run_sync(lambda: run(wstest, url, cases, folder, limit=PATIENCE))

        await strictly(run_cases, tmp_path)


async def test_quick_set_of_the_client(wstest: Path, tmp_path: Path) -> None:
    async def run_cases(cases: str, folder: Path) -> Report:
        with trio.fail_after(PATIENCE):
            return await check_client(wstest, cases, folder)

    await strictly(run_cases, tmp_path)
