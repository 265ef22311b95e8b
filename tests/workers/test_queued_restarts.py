"""Restarts that are ordered while another one is under way, or a worker is down: each order is carried out, once."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.workers.test_rolling_restart import EVEN, ODD, end, replaced, restarting
from tests.workers.test_supervisor import supervised
from wsframe.workers.orders import ControlMessage
from wsframe.workers.partitions import PARTITIONS


async def test_a_restart_waits_for_a_worker_that_is_down_or_starts_and_further_orders_are_merged_into_it(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with supervised(tmp_path, 2, patience=float("inf")) as service:
        old, dying = await service.workers.all_ready(2)
        dying.process.end(-9)
        second = await service.workers.at(2)
        restart = service.supervisor.restart()
        assert restart is not None
        second.process.end(2)
        await trio.testing.wait_all_tasks_blocked()
        assert len(service.workers.started) == 3  # its successor waits
        assert service.supervisor.restart() is restart
        third = await service.workers.at(3)
        await trio.sleep(5)
        assert service.supervisor.restart() is restart
        assert len(service.workers.started) == 4
        third.say("ready")
        assert await third.hears() == ControlMessage("accept", {"started": False})
        new = [await replaced(service, old, 4, EVEN), await replaced(service, third, 5, ODD)]
        await restart.done.wait()
        assert (restart.failure, restart.table.done) == ("", True)
        assert len(service.workers.started) == 6
        await end(service, *new)


async def test_a_restart_does_not_wait_for_ever_for_a_worker_that_cannot_start(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Its successor loads the newest code, so that the next restart is possible."""
    async with supervised(tmp_path, 2, patience=float("inf")) as service:
        old, dying = await service.workers.all_ready(2)
        dying.process.end(-9)
        slow = await service.workers.at(2)
        restart = service.supervisor.restart()
        assert restart is not None
        await restart.done.wait()
        assert restart.failure == "a worker is still down or starting; repeat it once all are ready"
        assert caplog.text.count(f"a restart is refused: {restart.failure}") == 1
        assert slow.process.signals == ["KILL"]
        fixed = await service.workers.at(3)
        again = service.supervisor.restart()
        assert again is not restart
        fixed.say("ready")
        new = await service.workers.at(4)
        assert (new.slot, fixed.process.signals) == (old.slot, [])
        await end(service, old, fixed, new)


async def test_a_restart_that_is_asked_for_during_another_one_follows_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """New code can have come after workers of the first one had started."""
    async with supervised(tmp_path, 1) as service:
        (old,), restart = await restarting(service, 1)
        await service.workers.at(1)
        following = service.supervisor.restart()
        assert following not in (None, restart)
        assert service.supervisor.restart() is following
        new = await replaced(service, old, 1, [*range(PARTITIONS)])
        await restart.done.wait()
        assert following is not None
        assert not following.done.is_set()
        newest = await replaced(service, new, 2, [*range(PARTITIONS)])
        await following.done.wait()
        assert (restart.failure, following.failure, following.table.done) == ("", "", True)
        assert len(service.workers.started) == 3
        await end(service, newest)


async def test_a_restart_that_follows_one_that_has_failed_is_tried_all_the_same(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with supervised(tmp_path, 1) as service:
        (old,) = await service.workers.all_ready(1)
        restart = service.supervisor.restart()
        broken = await service.workers.at(1)
        following = service.supervisor.restart()
        assert restart is not None
        assert following is not None
        broken.process.end(2)
        await restart.done.wait()
        assert restart.failure
        new = await replaced(service, old, 2, [*range(PARTITIONS)])
        await following.done.wait()
        assert not following.failure
        await end(service, new)


async def test_a_restart_that_follows_is_refused_when_a_worker_is_down_by_then(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with supervised(tmp_path, 2, patience=float("inf")) as service:
        _, other = await service.workers.all_ready(2)
        service.supervisor.restart()
        broken = await service.workers.at(2)
        other.process.end(-9)
        await service.workers.at(3)
        following = service.supervisor.restart()
        assert following is not None
        broken.process.end(2)
        await following.done.wait()
        assert following.failure.startswith("a worker is still down or starting")
        await end(service, *service.workers.started)


async def test_the_end_of_the_service_ends_a_restart_that_was_to_follow(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with supervised(tmp_path, 1) as service:
        (old,) = await service.workers.all_ready(1)
        service.supervisor.restart()
        new = await service.workers.at(1)
        following = service.supervisor.restart()
        assert following is not None
        await end(service, old, new)
        await following.done.wait()
        assert not following.table.done


async def test_a_restart_that_is_ordered_while_the_service_starts_follows_the_start(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with supervised(tmp_path, 2, patience=float("inf")) as service:
        first, second = sorted([await service.workers.at(number) for number in range(2)], key=lambda one: one.slot)
        first.say("ready")
        await trio.testing.wait_all_tasks_blocked()
        restart = service.supervisor.restart()
        assert restart is not None
        assert service.supervisor.restart() is restart
        await trio.sleep(600)  # the start has no limit, and neither has the wait for it
        assert (len(service.workers.started), restart.done.is_set()) == (2, False)
        second.say("ready")
        for old in (first, second):
            assert await old.hears() == ControlMessage("accept", {"started": old is first})
        new = [await replaced(service, first, 2, EVEN), await replaced(service, second, 3, ODD)]
        await restart.done.wait()
        assert (restart.failure, restart.table.done) == ("", True)
        await end(service, *new)


async def test_a_restart_that_waits_for_the_start_ends_with_a_service_that_cannot_start(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with supervised(tmp_path, 1) as service:
        only = await service.workers.at(0)
        restart = service.supervisor.restart()
        assert restart is not None
        only.process.end(2)
        await restart.done.wait()
        assert (restart.failure, restart.table.done) == ("", False)
        assert service.supervisor.restart() is None
