"""The supervisor: starts and kills of workers, and the end of a service."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.workers.stand_ins import Workers, equipped
from wsframe.workers.board import Board, SlotState
from wsframe.workers.orders import ControlMessage
from wsframe.workers.supervisor import GRACE, ServicePlan, Supervisor
from wsframe.workers.worker import inquiries_at

DRAIN = ControlMessage("drain", {"code": 1001, "lame_duck": 0.0})


class Service:
    """A supervisor with stand-ins for its workers."""

    def __init__(self, supervisor: Supervisor, workers: Workers, board: Board, started: list[str], folder: str) -> None:
        self.folder = folder
        self.supervisor = supervisor
        self.workers = workers
        self.board = board
        self.started = started
        self.ended = trio.Event()


@asynccontextmanager
async def supervised(folder: Path, count: int, patience: float = 30) -> AsyncIterator[Service]:
    """Supervise stand-ins; the service has to end by itself at the end."""
    started: list[str] = []
    with equipped(folder, count) as made:
        workers = Workers(made, patience)
        plan = ServicePlan(command=[], folder="", patience=patience, drain=8)
        supervisor = Supervisor(plan, made, lambda: started.append("started"), workers.launch)
        service = Service(supervisor, workers, made.board, started, made.runtime.folder)

        async def run() -> None:
            await supervisor.run()
            service.ended.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            yield service
            with trio.fail_after(600):
                await service.ended.wait()
        workers.close()


async def test_nobody_accepts_until_every_slot_is_ready_and_one_tells_the_program(tmp_path: Path) -> None:
    async with supervised(tmp_path, 3) as service:
        first = await service.workers.at(0)
        second, third = await service.workers.at(1), await service.workers.at(2)
        for one in (first, second):
            one.say("ready")
        with trio.move_on_after(0.2) as waited:
            await first.control.hear()
        assert waited.cancelled_caught
        assert service.started == []
        third.say("ready")
        orders = {one.slot: await one.hears() for one in (first, second, third)}
        assert orders == {slot: ControlMessage("accept", {"started": slot == 0}) for slot in range(3)}
        assert service.started == ["started"]
        service.supervisor.drain()
        for one in (first, second, third):
            assert await one.hears() == DRAIN
            one.process.end()
    assert (service.supervisor.status, service.supervisor.failure) == (0, "")


async def test_a_worker_that_dies_has_a_successor_after_it_was_reaped(tmp_path: Path) -> None:
    async with supervised(tmp_path, 2) as service:
        _, dying = await service.workers.all_ready(2)
        dying.row.reserved = 5
        dying.control.close()  # a child process of a hook would keep it open; it says nothing
        await trio.sleep(0.05)
        assert len(service.workers.started) == 2
        dying.process.end(-11)
        successor = await service.workers.at(2)
        assert (successor.slot, successor.row.reserved) == (dying.slot, 0)
        assert service.board.state(1) is SlotState.STARTING
        successor.say("ready")
        assert await successor.hears() == ControlMessage("accept", {"started": False})
        assert service.board.state(1) is SlotState.READY
        assert service.started == ["started"]
        service.supervisor.drain()
        for one in service.workers.started:
            one.process.end()


@pytest.mark.parametrize("reason", ["", "cannot import chat.py"])
async def test_a_worker_that_cannot_start_at_first_ends_the_service(tmp_path: Path, reason: str) -> None:
    async with supervised(tmp_path, 2) as service:
        one, other = await service.workers.at(0), await service.workers.at(1)
        other.say("ready")
        if reason:
            one.say("failed", reason=reason)
        one.process.end(1)
        assert await other.hears() == DRAIN
        other.process.end()
    said = f"cannot start: {reason}" if reason else "ended with status 1"
    assert service.supervisor.failure == f"{one.child.name} {said}"
    assert service.supervisor.status == 2
    assert len(service.workers.started) == 2


async def test_a_worker_that_cannot_start_later_is_tried_again_and_leaves_the_others_alone(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with supervised(tmp_path, 2) as service, trio.open_nursery() as nursery:
        healthy, dying = await service.workers.all_ready(2)
        nursery.start_soon(healthy.beat)
        dying.process.end(1)
        begun = trio.current_time()
        for number in range(2, 6):
            failing = await service.workers.at(number)
            failing.say("failed", reason="SyntaxError")
            failing.process.end(2)
        service.workers.errors.append(OSError(errno.EAGAIN, "no processes left"))
        service.workers.errors.append(RuntimeError("can't start new thread"))
        last = await service.workers.at(6)
        assert trio.current_time() > begun + 3
        assert not service.supervisor.leaving.is_set()
        assert healthy.process.signals == []
        service.supervisor.drain()
        assert await healthy.hears() == DRAIN
        healthy.process.end()
        assert last.process.signals == ["TERM"]
        nursery.cancel_scope.cancel()
    assert service.supervisor.status == 0


async def test_a_program_that_ends_ends_the_service_with_its_status_and_code(tmp_path: Path) -> None:
    async with supervised(tmp_path, 3) as service:
        _, ending, other = workers = await service.workers.all_ready(3)
        ending.say("ending", code=4000, lame_duck=2.5)
        assert await other.hears() == ControlMessage("drain", {"code": 4000, "lame_duck": 2.5})
        for one in workers:
            one.process.end(7 if one is ending else 0)
    assert service.supervisor.status == 7
    assert service.supervisor.failure == ""


async def test_a_worker_killed_in_the_drain_does_not_change_the_status(tmp_path: Path) -> None:
    async with supervised(tmp_path, 2) as service:
        one, other = await service.workers.all_ready(2)
        service.supervisor.drain()
        one.process.end(-9)
        other.say("ending", code=1001, lame_duck=0)  # the order came too late
        other.process.end(3)
    assert service.supervisor.status == 0


async def test_a_worker_that_does_not_leave_is_killed_after_the_drain_and_a_grace(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with supervised(tmp_path, 2) as service, trio.open_nursery() as nursery:
        one, other = await service.workers.all_ready(2)
        nursery.start_soon(one.beat)
        nursery.start_soon(other.beat)
        begun = trio.current_time()
        service.supervisor.drain()
        other.process.end()
        await one.process.wait()
        assert one.process.signals == ["KILL"]
        assert trio.current_time() >= begun + 8 + GRACE
        nursery.cancel_scope.cancel()


async def test_a_second_order_hurries_and_kills_soon(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with supervised(tmp_path, 1) as service:
        (one,) = await service.workers.all_ready(1)
        service.supervisor.drain(lame_duck=100)
        begun = trio.current_time()
        service.supervisor.hurry()
        assert [await one.hears(), await one.hears()] == [
            ControlMessage("drain", {"code": 1001, "lame_duck": 100}), ControlMessage("hurry", {}),
        ]  # fmt: skip
        await one.process.wait()
        assert trio.current_time() < begun + 8


async def test_a_worker_that_stands_still_is_marked_warned_of_killed_and_replaced(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with supervised(tmp_path, 2, patience=30) as service, trio.open_nursery() as nursery:
        healthy, frozen = await service.workers.all_ready(2)
        nursery.start_soon(healthy.beat)
        frozen.row.beats = 7
        begun = trio.current_time()
        await trio.sleep(5)
        assert service.board.state(1) is SlotState.SILENT
        assert service.board.state(0) is SlotState.READY
        successor = await service.workers.at(2)
        assert begun + 29 < trio.current_time() < begun + 35
        assert frozen.process.signals == ["KILL"]
        assert successor.slot == 1
        assert "does not turn its event loop" in caplog.text
        service.supervisor.drain()
        for one in service.workers.started:
            one.process.end()
        nursery.cancel_scope.cancel()


async def test_a_drain_before_anybody_is_ready_ends_those_that_import(tmp_path: Path) -> None:
    async with supervised(tmp_path, 2) as service:
        await service.workers.at(0)
        service.supervisor.drain()
    assert all(one.process.signals == ["TERM"] for one in service.workers.started)
    assert (service.supervisor.status, service.supervisor.failure) == (0, "")


async def test_bytes_that_are_not_a_message_cost_no_worker_anything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with supervised(tmp_path, 1) as service:
        (one,) = await service.workers.all_ready(1)
        one.control._sock.send(b"nonsense")
        one.control._sock.send(b"[]")
        one.say("ending", code=4000, lame_duck=0.0)  # is heard all the same
        assert await one.hears() == ControlMessage("drain", {"code": 4000, "lame_duck": 0.0})
        one.process.end()
    assert caplog.text.count(f"{one.child.name}: not a message") == 2


async def test_bytes_that_are_not_a_message_do_not_hide_the_last_words_of_a_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with supervised(tmp_path, 2) as service:
        one, other = await service.workers.all_ready(2)
        one.control._sock.send(b"nonsense")
        one.say("ending", code=4000, lame_duck=0.0)
        one.process.end(7)  # reaped before any of it has been heard
        assert await other.hears() == ControlMessage("drain", {"code": 4000, "lame_duck": 0.0})
        other.process.end()
    assert service.supervisor.status == 7
    assert f"{one.child.name}: not a message" in caplog.text


async def test_the_service_starts_with_the_successor_of_a_worker_that_died_before_the_last_was_ready(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with supervised(tmp_path, 2, patience=float("inf")) as service:
        first, last = sorted([await service.workers.at(0), await service.workers.at(1)], key=lambda one: one.slot)
        for number in (2, 3):
            first.say("ready")
            await trio.testing.wait_all_tasks_blocked()
            first.process.end(-9)
            await trio.testing.wait_all_tasks_blocked()
            if number == 3:
                last.say("ready")  # while nobody is in slot 0
                await trio.testing.wait_all_tasks_blocked()
            first = await service.workers.at(number)
        assert service.started == []
        first.say("ready")
        assert await first.hears() == ControlMessage("accept", {"started": True})
        assert await last.hears() == ControlMessage("accept", {"started": False})
        assert service.started == ["started"]
        await trio.testing.wait_all_tasks_blocked()
        service.supervisor.drain()
        for one in (first, last):
            one.process.end()


async def test_an_address_that_cannot_be_removed_costs_no_worker_anything(tmp_path: Path) -> None:
    async with supervised(tmp_path, 2) as service:
        one, other = await service.workers.all_ready(2)
        os.mkdir(inquiries_at(service.folder, one.slot, 0))
        one.process.end(-9)
        await service.workers.at(2)
        assert not other.process.signals
        service.supervisor.drain()
        for worker in service.workers.started:
            worker.process.end()
