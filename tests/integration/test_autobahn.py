"""The Autobahn suite's quick set passes strictly: no case fails, is lenient or closes badly."""

import subprocess
from pathlib import Path

import pytest
import trio

import wsframe
from tests.autobahn.client import check_client
from tests.autobahn.echo import registry
from tests.autobahn.install import NoPython27, install
from tests.autobahn.run import Report, run
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


async def test_quick_set(wstest: Path, tmp_path: Path, poller: PollerName) -> None:
    def run_suite(url: str) -> Report:
        return run(wstest, url, "quick", tmp_path, limit=120)

    async with wsframe.open_server(registry=registry(), port=0, poller=poller) as server:
        report = await trio.to_thread.run_sync(run_suite, f"{server.addresses[0]}/echo")
    assert report.faults == []


async def test_quick_set_of_the_client(wstest: Path, tmp_path: Path) -> None:
    with trio.fail_after(120):
        report = await check_client(wstest, "quick", tmp_path)
    assert report.faults == []
