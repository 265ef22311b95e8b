"""A worker as the supervisor knows it; and one real process."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path

import pytest
import trio

from tests.descriptors import none_stays_open
from tests.workers.stand_ins import StandIn, equipped
from wsframe.workers.child import Child, status_of
from wsframe.workers.control_socket import make_control_sockets
from wsframe.workers.orders import ControlMessage

PROGRAM = """
import os, sys
from wsframe.workers.orders import encode_message
from wsframe.workers.worker import this_worker
worker = this_worker()
worker.link.send(encode_message("failed", reason=f"{worker.slot} of {worker.count}"))
worker.row.clients = os.getpgid(0)
sys.exit(3 if sys.stdin.read() == "" else 4)
"""


async def test_a_worker_is_told_who_it_is_and_has_a_process_group_of_its_own(tmp_path: Path) -> None:
    with equipped(tmp_path, 2) as made:
        child = await Child.start([sys.executable, "-c", PROGRAM], os.getcwd(), made, 30, 1, 4)
        with trio.fail_after(120):
            assert await child.control.hear() == ControlMessage("failed", {"reason": "1 of 2"})
            assert status_of(await child.process.wait()) == 3
        assert made.board.row(1, 4).clients == child.process.pid != os.getpgid(0)
        child.close()


async def test_a_program_that_is_not_there_leaves_no_link_open(tmp_path: Path) -> None:
    with equipped(tmp_path, 1) as made, none_stays_open(), pytest.raises(OSError, match="nowhere"):
        await Child.start(["/nowhere"], os.getcwd(), made, 30, 0, 0)


async def test_only_a_worker_that_is_not_ready_gets_a_signal_with_the_order_to_leave(tmp_path: Path) -> None:
    with equipped(tmp_path, 2) as made:
        importing, ready = (StandIn(slot, 0, made.board, 30) for slot in range(2))
        ready.child.watch.ready()
        for one in (importing, ready):
            one.child.leave(1012, 1.5, 20)
            assert await one.hears() == ControlMessage("drain", {"code": 1012, "lame_duck": 1.5})
            one.child.close()
            one.control.close()
        assert (importing.process.signals, ready.process.signals) == (["TERM"], [])


@pytest.mark.parametrize(("returncode", "status"), [(0, 0), (3, 3), (-9, 137), (-15, 143)])
def test_the_status_is_that_which_a_shell_shows(returncode: int, status: int) -> None:
    assert status_of(returncode) == status


async def test_a_second_pair_of_sockets_that_is_refused_leaves_the_first_one_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = make_control_sockets()
    results = iter([pair])

    def make() -> tuple[socket.socket, socket.socket]:
        if (made := next(results, None)) is None:
            raise OSError(errno.EMFILE, "Too many open files")
        return made

    monkeypatch.setattr("wsframe.workers.child.make_control_sockets", make)
    with equipped(tmp_path, 1) as made, pytest.raises(OSError, match="Too many open files"):
        await Child.start(["/nowhere"], os.getcwd(), made, 30, 0, 0)
    assert [end.fileno() for end in pair] == [-1, -1]
