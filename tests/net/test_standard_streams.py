"""Standard streams that are closed, as some programs start daemons: nothing of a server gets their descriptors."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FILLED = """
import os, subprocess, sys
from wsframe.net.standard_streams import fill_descriptors
fill_descriptors()
kept = subprocess.Popen([sys.executable, "-c", "import os; [os.fstat(fd) for fd in (0, 1, 2)]"]).wait()
taken = os.open(os.devnull, os.O_RDONLY)
null = os.stat(os.devnull).st_rdev
filled = [os.fstat(fd).st_rdev == null for fd in (0, 1, 2)]
os.write(int(os.environ["REPORT"]), f"{kept} {taken > 2} {filled}".encode())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no /bin/sh")
@pytest.mark.parametrize(
    ("closed", "filled"),
    [("<&- >&- 2>&-", [True, True, True]), (">&-", [False, True, False]), ("2>&-", [False, False, True])],
)
def test_closed_streams_are_the_null_device_and_open_ones_stay(closed: str, filled: list[bool]) -> None:
    reading, writing = os.pipe()
    with subprocess.Popen(
        ["/bin/sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, FILLED],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[writing],
        env=os.environ | {"REPORT": str(writing)},
    ) as process:  # fmt: skip
        os.close(writing)
        with open(reading, "rb") as report:
            found = report.read().decode()
        process.communicate()
    assert found == f"0 True {filled}"
