"""A process that the program forks keeps nothing of the service."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE

pytestmark = pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="this system does not fork")

BOUND = PATIENCE

START = """
import os
import socket
import sys
from wsframe.net.forked import keep_from_children, let_children_keep
from wsframe.workers.runtime import locked, runtime_of

def fork():
    ready, told = os.pipe()
    if not os.fork():
        os.write(told, b"x")
        os.read(0, 1)  # until standard input ends
        os._exit(0)
    os.read(ready, 1)
"""
LOCKS = """
with runtime_of(sys.argv[1]) as mine:
    for name in ("supervisor", "workers"):
        other = os.open(os.path.join(mine.folder, name), os.O_RDWR)
        print(locked(other))
        os.close(other)
    fork()
    os.rename(mine.folder, mine.folder + " kept")  # as after a kill
os.rename(sys.argv[1] + " kept", sys.argv[1])
with runtime_of(sys.argv[1], 0):
    print("again")
"""
SOCKETS = """
one, other = socket.socketpair()
early, late = socket.socketpair()
file = os.open(os.devnull, os.O_RDONLY)
keep_from_children(one, early, file)
let_children_keep(file)
os.close(file)
early.close()
mine = os.open(sys.executable, os.O_RDONLY)  # has a number that is free again
again = os.open(sys.executable, os.O_RDONLY)
fork()
one.close()
other.settimeout(60)
print(other.recv(1))
ready, told = os.pipe()
if not os.fork():
    os.write(told, str(os.fstat(mine).st_size == os.fstat(again).st_size == os.stat(sys.executable).st_size).encode())
    os._exit(0)
print(os.read(ready, 5).decode())
"""


@pytest.mark.parametrize(
    ("steps", "printed"), [(LOCKS, ["False", "False", "again"]), (SOCKETS, ["b''", "True"])], ids=["locks", "sockets"]
)
def test_14_a_forked_child_holds_neither_locks_nor_sockets(steps: str, printed: list[str], tmp_path: Path) -> None:
    """And it has the files that have got the numbers of those that were closed."""
    command = [sys.executable, "-W", "ignore", "-c", START + steps, str(tmp_path / "service")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert [program.stdout.readline().strip() for _ in printed] == printed
        assert program.wait(BOUND) == 0, "while the child lives"
