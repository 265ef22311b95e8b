"""A rolling restart: a slot's new worker is ready before its old one leaves, and no partition begins before its end."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.workers.stand_ins import StandIn
from tests.workers.test_supervisor import Service, supervised
from wsframe.workers.orders import ControlMessage
from wsframe.workers.partitions import PARTITIONS
from wsframe.workers.rolling_restart import RollingRestart

EVEN, ODD = list(range(0, PARTITIONS, 2)), list(range(1, PARTITIONS, 2))


async def restarting(service: Service, count: int) -> tuple[list[StandIn], RollingRestart]:
    """Begin a restart; return the old workers."""
    old = await service.workers.all_ready(count)
    restart = service.supervisor.restart()
    assert restart is not None
    return old, restart


async def replaced(service: Service, old: StandIn, number: int, partitions: list[int]) -> StandIn:
    """Go through the restart of one slot; return its new worker."""
    new = await service.workers.at(number)
    assert (new.slot, new.generation) == (old.slot, old.generation + 1)
    new.say("ready")
    assert await new.hears() == ControlMessage("accept", {"started": False})
    assert await old.hears() == ControlMessage("leave", {})
    old.say("over", partitions=partitions[1:])
    assert await new.hears() == ControlMessage("begin", {"partitions": partitions[1:]})
    old.say("over", partitions=partitions[:1])
    assert await new.hears() == ControlMessage("begin", {"partitions": partitions[:1]})
    old.process.end()
    return new


async def end(service: Service, *workers: StandIn) -> None:
    service.supervisor.drain()
    for one in workers:
        one.process.end()


async def test_workers_6_slot_after_slot_begins_what_its_old_worker_has_left(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with supervised(tmp_path, 2) as service:
        old, restart = await restarting(service, 2)
        new = [await replaced(service, old[0], 2, EVEN), await replaced(service, old[1], 3, ODD)]
        await restart.done.wait()
        assert not restart.failure
        again = service.supervisor.restart()
        assert again is not restart
        third = await replaced(service, new[0], 4, EVEN)
        await end(service, third, new[1], *service.workers.started[5:])


@pytest.mark.parametrize("how", ["ends", "hangs"])
async def test_a_new_worker_that_cannot_start_stops_the_restart(
    tmp_path: Path, autojump_clock: MockClock, how: str
) -> None:
    async with supervised(tmp_path, 2, patience=float("inf")) as service:
        old, restart = await restarting(service, 2)
        new = await service.workers.at(2)
        if how == "ends":
            new.say("failed", reason="no module named x")
            new.process.end(2)
        await restart.done.wait()
        assert restart.failure
        assert ("no module named x" in restart.failure) == (how == "ends")
        assert new.process.signals == (["KILL"] if how == "hangs" else [])
        assert len(service.workers.started) == 3
        assert not any(one.process.signals for one in old)
        await end(service, *old)


async def test_a_restart_that_follows_a_failed_one_waits_for_the_end_of_its_new_worker(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """They would share a row of the board, and an address."""
    async with supervised(tmp_path, 1, patience=float("inf")) as service:
        (old,), restart = await restarting(service, 1)
        slow = await service.workers.at(1)
        slow.process.kill = lambda: slow.process.signals.append("KILL")  # type: ignore[method-assign]
        await restart.done.wait()
        assert (restart.failure != "", slow.process.signals) == (True, ["KILL"])
        again = service.supervisor.restart()
        assert again is not None
        await trio.sleep(5)
        assert service.workers.starts == 2, "the old worker and the one that is being killed"
        slow.row.beats = 7
        slow.process.end(-9)
        new = await replaced(service, old, 2, list(range(PARTITIONS)))
        new.row.beats = 8
        await again.done.wait()
        assert (again.failure, new.row.beats) == ("", 8)
        await end(service, new)


async def test_workers_6_an_old_worker_that_dies_has_left_everything(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with supervised(tmp_path, 1) as service:
        (old,) = await service.workers.all_ready(1)
        service.supervisor.restart()
        new = await service.workers.at(1)
        new.say("ready")
        await new.hears()
        old.say("over", partitions=[3])
        assert (await new.hears()) == ControlMessage("begin", {"partitions": [3]})
        old.process.end(-9)
        begun = await new.hears()
        assert begun is not None
        assert [3, *begun.fields["partitions"]] == [3, *(one for one in range(PARTITIONS) if one != 3)]
        assert len(service.workers.started) == 2
        await end(service, new)


async def test_an_old_worker_that_does_not_leave_is_killed(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with supervised(tmp_path, 1, patience=float("inf")) as service:
        (old,), restart = await restarting(service, 1)
        new = await service.workers.at(1)
        new.say("ready")
        await restart.done.wait()
        assert old.process.signals == ["KILL"]
        await end(service, new)


async def followed_twice(service: Service) -> tuple[StandIn, StandIn, RollingRestart]:
    """Have a new worker die while the old one leaves; return the old one, the next new one, and the restart."""
    (old,), restart = await restarting(service, 1)
    first = await service.workers.at(1)
    first.say("ready")
    assert await old.hears() == ControlMessage("leave", {})
    first.process.end(-9)
    return old, await service.workers.at(2), restart


async def test_a_new_worker_that_dies_while_the_old_one_leaves_has_a_successor(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with supervised(tmp_path, 1) as service:
        old, second, restart = await followed_twice(service)
        old.say("over", partitions=[7])
        second.say("ready")
        assert await second.hears() == ControlMessage("accept", {"started": False})
        assert await second.hears() == ControlMessage("begin", {"partitions": [7]})
        old.process.end()
        await restart.done.wait()
        assert not restart.failure
        await end(service, second)


async def test_workers_6_a_successor_that_is_ready_only_after_the_end_of_the_old_worker_begins_everything(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with supervised(tmp_path, 1) as service:
        old, second, restart = await followed_twice(service)
        old.process.end()
        await restart.done.wait()
        second.say("ready")
        assert await second.hears() == ControlMessage("accept", {"started": False})
        with trio.fail_after(600):
            assert await second.hears() == ControlMessage("begin", {"partitions": [*range(PARTITIONS)]})
        await end(service, second)


async def test_workers_6_a_slot_whose_old_worker_dies_before_the_start_of_its_next_has_one_successor(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The successor waits for the end of one of a restart that has failed, and so does the supervisor."""
    async with supervised(tmp_path, 1, patience=float("inf")) as service:
        (old,), restart = await restarting(service, 1)
        slow = await service.workers.at(1)
        slow.process.kill = lambda: slow.process.signals.append("KILL")  # type: ignore[method-assign]
        await restart.done.wait()
        again = service.supervisor.restart()
        assert again is not None
        await trio.sleep(5)
        old.process.end(-9)
        await trio.sleep(5)
        slow.process.end(-9)
        await again.done.wait()
        await trio.sleep(60)
        assert service.workers.starts == 3
        successor = service.workers.started[2]
        successor.say("ready")
        assert await successor.hears() == ControlMessage("accept", {"started": False})
        await end(service, successor)


async def test_a_new_worker_that_dies_later_is_replaced_like_any_other(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with supervised(tmp_path, 1) as service:
        (old,), restart = await restarting(service, 1)
        new = await service.workers.at(1)
        new.say("ready")
        old.process.end()
        await restart.done.wait()
        await trio.sleep(60)
        new.process.end(-9)
        third = await service.workers.at(2)
        assert third.generation == new.generation
        third.say("ready")
        await end(service, third)


async def test_a_service_that_ends_is_not_restarted(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with supervised(tmp_path, 1) as service:
        first = await service.workers.at(0)
        first.say("ready")
        await first.hears()
        service.supervisor.drain()
        assert service.supervisor.restart() is None
        first.process.end()


async def test_the_end_of_the_service_ends_a_restart(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with supervised(tmp_path, 1) as service:
        (old,), restart = await restarting(service, 1)
        new = await service.workers.at(1)
        await end(service, old, new)
        await restart.done.wait()


@pytest.mark.parametrize("dying", [[1], [2], [1, 2]])
async def test_a_worker_that_dies_before_its_turn_is_replaced_once_and_the_restart_goes_on(
    tmp_path: Path, autojump_clock: MockClock, dying: list[int]
) -> None:
    async with supervised(tmp_path, 3, patience=float("inf")) as service:
        old, restart = await restarting(service, 3)
        first = await service.workers.at(3)
        for slot in dying:
            old[slot].process.end(-9)
            replacement = await service.workers.at(len(service.workers.started))
            assert replacement.slot == slot
            replacement.say("ready")
        first.say("ready")
        assert await old[0].hears() == ControlMessage("leave", {})
        old[0].process.end()
        for slot in {1, 2}.difference(dying):
            new = await service.workers.at(4 + len(dying))
            assert new.slot == slot
            new.say("ready")
            assert await old[slot].hears() == ControlMessage("leave", {})
            old[slot].process.end()
        await restart.done.wait()
        assert not restart.failure
        assert [one.slot for one in service.workers.started].count(dying[0]) == 2
        assert not any(one.process.signals for one in service.workers.started)
        await end(service, *service.workers.started)


@pytest.mark.parametrize("starts", [True, False])
async def test_workers_6_a_worker_that_dies_during_the_start_of_its_successor_has_that_one(
    tmp_path: Path, autojump_clock: MockClock, starts: bool
) -> None:
    async with supervised(tmp_path, 1, patience=float("inf")) as service:
        (old,) = await service.workers.all_ready(1)
        service.workers.may_start = trio.Event()
        restart = service.supervisor.restart()
        assert restart is not None
        await trio.testing.wait_all_tasks_blocked()
        assert service.workers.starts == 2
        old.process.end(-9)
        await trio.testing.wait_all_tasks_blocked()
        assert service.workers.starts == 2
        if not starts:
            service.workers.errors.append(OSError(errno.EAGAIN, "no processes left"))
        service.workers.may_start.set()
        new = await service.workers.at(1)
        new.say("ready")
        assert await new.hears() == ControlMessage("accept", {"started": False})
        if starts:
            assert await new.hears() == ControlMessage("begin", {"partitions": [*range(PARTITIONS)]})
        await restart.done.wait()
        assert bool(restart.failure) != starts
        await trio.sleep(60)
        assert len(service.workers.started) == 2
        await end(service, new)


@pytest.mark.parametrize("error", [OSError(errno.EAGAIN, "no processes left"), RuntimeError("can't start new thread")])
async def test_a_new_worker_that_the_machine_cannot_start_stops_the_restart_or_is_tried_again(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    reason = getattr(error, "strerror", "") or str(error)
    async with supervised(tmp_path, 1, patience=float("inf")) as service:
        (old,) = await service.workers.all_ready(1)
        service.workers.errors.append(error)
        refused = service.supervisor.restart()
        assert refused is not None
        await refused.done.wait()
        assert reason in refused.failure
        assert not old.process.signals
        restart = service.supervisor.restart()
        assert restart is not None
        first = await service.workers.at(1)
        first.say("ready")
        assert await old.hears() == ControlMessage("leave", {})
        service.workers.errors.extend([error, error])
        first.process.end(-9)
        second = await service.workers.at(2)
        assert caplog.text.count(f"worker 0 cannot start: {reason}; another one") == 2
        second.say("ready")
        assert await second.hears() == ControlMessage("accept", {"started": False})
        old.process.end()
        await restart.done.wait()
        assert not restart.failure
        await end(service, second)


async def test_no_beat_is_demanded_of_a_worker_that_gives_its_lives_away_or_begins_them(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def beat(worker: StandIn, until: trio.CancelScope) -> None:
        with until:
            await worker.beat()

    gives, begins = trio.CancelScope(), trio.CancelScope()
    async with supervised(tmp_path, 1, patience=2) as service, trio.open_nursery() as nursery:
        (old,) = await service.workers.all_ready(1)
        nursery.start_soon(beat, old, gives)
        restart = service.supervisor.restart()
        new = await service.workers.at(1)
        nursery.start_soon(beat, new, begins)
        new.say("ready")
        assert await old.hears() == ControlMessage("leave", {})
        gives.cancel()
        await trio.sleep(10)
        old.say("over", partitions=EVEN)
        assert await new.hears() == ControlMessage("accept", {"started": False})
        assert await new.hears() == ControlMessage("begin", {"partitions": EVEN})
        begins.cancel()
        old.process.end()
        assert restart is not None
        await restart.done.wait()
        await trio.sleep(20)
        assert "event loop" not in caplog.text
        assert (old.process.signals, new.process.signals) == ([], [])
        await trio.sleep(20)  # but it is no frozen one
        assert "event loop" in caplog.text
        assert new.process.signals == ["KILL"]
        await end(service, *service.workers.started)
