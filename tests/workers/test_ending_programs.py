"""Restarts to a program that ends by itself: before it is ready, or as soon as it takes over."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.workers.test_rolling_restart import EVEN, ODD, end, replaced, restarting
from tests.workers.test_supervisor import supervised
from wsframe.workers.partitions import PARTITIONS


async def test_a_new_program_that_exits_before_it_is_ready_stops_the_restart_and_not_the_service(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """As sys.exit() in running() of a shared resource does, where a setting is missing."""
    async with supervised(tmp_path, 2, patience=float("inf")) as service:
        old, restart = await restarting(service, 2)
        new = await service.workers.at(2)
        new.say("ending", code=1001, lame_duck=0.0)
        new.process.end(5)
        await restart.done.wait()
        assert restart.failure == "the new worker 0 ended with status 5; the old workers go on"
        assert not service.supervisor.leaving.is_set()
        old[1].process.end(-9)
        successor = await service.workers.at(3)
        successor.say("ending", code=1001, lame_duck=0.0)
        successor.process.end(5)
        await service.workers.at(4)
        assert not service.supervisor.leaving.is_set()
        await end(service, old[0])
    assert service.supervisor.status == 0


@pytest.mark.parametrize("count", [1, 2])
async def test_a_program_that_ends_as_soon_as_it_takes_over_takes_down_one_slot_alone(
    tmp_path: Path, autojump_clock: MockClock, count: int
) -> None:
    async with supervised(tmp_path, count, patience=float("inf")) as service:
        old, restart = await restarting(service, count)
        new = await replaced(service, old[0], count, list(range(0, PARTITIONS, count)))
        await trio.testing.wait_all_tasks_blocked()
        new.process.end(7)
        dying = count + 1
        while not restart.done.is_set():
            (await service.workers.at(dying)).process.end(7)
            dying += 1
            await trio.sleep(5)
        assert restart.failure == "worker 0 is down or starting for 60 s; the others go on"
        assert {one.slot for one in service.workers.started[count:]} == {0}
        await end(service, *old[1:], *service.workers.started[dying:])


async def test_the_next_slot_waits_for_the_successor_of_a_worker_that_has_taken_over_and_ended(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with supervised(tmp_path, 2, patience=float("inf")) as service:
        old, restart = await restarting(service, 2)
        new = await replaced(service, old[0], 2, EVEN)
        await trio.testing.wait_all_tasks_blocked()
        new.process.end(-9)
        successor = await service.workers.at(3)
        await trio.sleep(20)
        assert len(service.workers.started) == 4
        successor.say("ready")
        last = await replaced(service, old[1], 4, ODD)
        await restart.done.wait()
        assert not restart.failure
        await end(service, successor, last)
