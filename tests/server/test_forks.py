"""User code that forks: a socket that we close is closed, though a child process has inherited it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.patience import PATIENCE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a reset waits for the child")

BOUND = PATIENCE


@pytest.mark.parametrize(("what", "end"), [("abort", "reset"), ("close", "reset"), ("page", "eof")])
def test_peer_learns_of_an_end_while_a_forked_child_lives(what: str, end: str) -> None:
    """A close frame that is not answered ends in a reset. The port is free again, too."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.server.forking_program", what]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        lines = [program.stdout.readline().strip() for _ in range(2)]
        assert program.wait(BOUND) == 0, "before the child ends, whose standard input is still open"
    assert lines == [end, "bound again"]
