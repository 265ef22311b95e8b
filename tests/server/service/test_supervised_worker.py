"""The duties of a worker: beats, words and orders."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from trio.testing import MockClock

from tests.patience import PATIENCE
from tests.workers.stand_ins import equipped
from wsframe import Timeouts
from wsframe.limits import DEFAULT_TIMEOUTS, filled
from wsframe.server.drain import Drain
from wsframe.server.service.supervised_worker import Duty, tell_failure
from wsframe.workers.board import Row
from wsframe.workers.control_socket import ControlSocket, make_control_sockets
from wsframe.workers.orders import ControlMessage
from wsframe.workers.worker import Worker


class Server:
    """The part of a server that a worker's supervisor sees."""

    def __init__(self, folder: Path, lame_duck: float = 0) -> None:
        self.drain = Drain(filled(Timeouts(lame_duck=lame_duck), DEFAULT_TIMEOUTS), trio.CancelScope())
        self.hurried = trio.Event()
        self.clients = 3

    def hurry(self) -> None:
        self.drain.ask(lame_duck=0)
        self.hurried.set()


class Working:
    """A worker's duty, and the supervisor's end of its link."""

    def __init__(self, duty: Duty, server: Server, supervisor: ControlSocket, row: Row) -> None:
        self.duty = duty
        self.server = server
        self.supervisor = supervisor
        self.row = row


@asynccontextmanager
async def working(folder: Path, lame_duck: float = 0) -> AsyncIterator[Working]:
    """Do one's duty while the body runs."""
    with equipped(folder, 2) as made:
        ours, theirs = make_control_sockets()
        worker = Worker(
            slot=1, count=2, generation=0, sockets=(), doors=(), door=theirs, board=made.board, link=theirs, folder=""
        )
        server = Server(folder, lame_duck)
        duty = Duty(worker, server.drain, server.hurry, lambda: server.clients, lambda: server.clients + 2)
        supervisor = ControlSocket(ours)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(duty.run)
            yield Working(duty, server, supervisor, worker.row)
            nursery.cancel_scope.cancel()
        supervisor.close()
        theirs.close()


async def test_a_worker_beats_twice_in_each_look_and_tells_its_clients(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with working(tmp_path) as one:
        await trio.sleep(5.1)
        assert one.row.beats == 21
        assert (one.row.clients, one.row.load) == (3, 5)


async def test_a_worker_is_ready_before_it_is_welcome(tmp_path: Path) -> None:
    async with working(tmp_path) as one, trio.open_nursery() as nursery:
        assert one.row.ready == 0
        nursery.start_soon(one.duty.until_welcome)
        with trio.fail_after(PATIENCE):
            assert await one.supervisor.hear() == ControlMessage("ready", {})
        assert (one.row.ready, one.row.pid) == (1, os.getpid())
        one.supervisor.say("accept", started=True)
    assert one.duty.starts_service


async def test_an_order_to_drain_has_the_code_and_is_not_answered(tmp_path: Path) -> None:
    async with working(tmp_path) as one:
        one.supervisor.say("drain", code=1012, lame_duck=0)
        with trio.fail_after(PATIENCE):
            await one.server.drain.asked.wait()
        assert one.server.drain.code == 1012
        one.supervisor.say("hurry")
        with trio.fail_after(PATIENCE):
            await one.server.hurried.wait()
        assert one.supervisor.heard() is None


async def test_a_program_that_ends_is_told_with_its_code_and_the_rest_of_its_lame_duck(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with working(tmp_path, lame_duck=20) as one:
        one.server.drain.ask(4001)
        assert await one.supervisor.hear() == ControlMessage("ending", {"code": 4001, "lame_duck": 20})


async def test_a_signal_to_one_worker_does_not_end_the_service(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with working(tmp_path) as one:
        one.duty.leave()
        await trio.sleep(1)
        assert one.server.drain.asked.is_set()
        assert one.supervisor.heard() is None


async def test_a_worker_whose_supervisor_is_gone_drains(tmp_path: Path) -> None:
    async with working(tmp_path) as one:
        one.supervisor.close()
        with trio.fail_after(PATIENCE):
            await one.server.drain.asked.wait()


async def test_a_failure_is_told_in_one_line_or_to_nobody() -> None:
    ours, theirs = make_control_sockets()
    worker = Worker(
        slot=0, count=1, generation=0, sockets=(), doors=(), door=theirs, board=None, link=theirs, folder=""  # type: ignore[arg-type]
    )  # fmt: skip
    tell_failure(worker, "x" * 100_000)
    supervisor = ControlSocket(ours)
    assert await supervisor.hear() == ControlMessage("failed", {"reason": "x" * 1000})
    supervisor.close()
    tell_failure(worker, "nobody hears it")
    theirs.close()
