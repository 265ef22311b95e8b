"""Parking a task and waking it."""

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from wsframe.doorbell import Doorbell, Happening, Signal


async def test_ring_wakes_the_task_that_waits() -> None:
    bell, woken = Doorbell(), []

    async def waiter() -> None:
        await bell.wait()
        woken.append("woken")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiter)
        await wait_all_tasks_blocked()
        assert woken == []
        bell.ring()
    assert woken == ["woken"]


async def test_ring_while_nobody_waits_is_kept_for_one_wait(autojump_clock: MockClock) -> None:
    bell = Doorbell()
    bell.ring()
    bell.ring()
    with assert_checkpoints():
        await bell.wait()
    with trio.move_on_after(1) as scope:
        await bell.wait()
    assert scope.cancelled_caught


async def test_all_that_wait_for_a_happening_wake_and_nobody_waits_after_it() -> None:
    happening, woken = Happening(), []

    async def waiter(number: int) -> None:
        await happening.wait()
        woken.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(waiter, number)
        await wait_all_tasks_blocked()
        assert (woken, happening.happened) == ([], False)
        happening.set()
        happening.set()
    assert sorted(woken) == [0, 1, 2]
    with assert_checkpoints():
        await happening.wait()
    assert happening.happened


async def test_a_wait_for_a_happening_can_be_cancelled(autojump_clock: MockClock) -> None:
    happening = Happening()
    with trio.move_on_after(1) as scope:
        await happening.wait()
    assert scope.cancelled_caught
    happening.set()
    with assert_checkpoints():
        await happening.wait()


async def test_ring_between_wake_up_and_next_wait_is_kept() -> None:
    bell, turns = Doorbell(), []

    async def waiter() -> None:
        for _ in range(2):
            await bell.wait()
            turns.append("turn")

    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiter)
            await wait_all_tasks_blocked()
            bell.ring()
            bell.ring()
    assert turns == ["turn", "turn"]


async def test_cancelled_wait_leaves_the_bell_usable(autojump_clock: MockClock) -> None:
    bell = Doorbell()
    with trio.move_on_after(1):
        await bell.wait()
    bell.ring()
    with trio.fail_after(120):
        await bell.wait()


async def test_ring_is_not_lost_to_a_wait_that_is_cancelled() -> None:
    bell = Doorbell()
    bell.ring()
    with trio.CancelScope() as scope:
        scope.cancel()
        await bell.wait()
    assert scope.cancelled_caught
    with trio.fail_after(120):
        await bell.wait()


async def test_signal_gives_its_value_to_all_who_wait_and_to_latecomers() -> None:
    signal, values = Signal(), []

    async def waiter() -> None:
        values.append(await signal.wait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiter)
        nursery.start_soon(waiter)
        await wait_all_tasks_blocked()
        assert values == []
        signal.fire(0.5)
    assert values == [0.5, 0.5]
    assert await signal.wait() == 0.5


async def test_signal_without_value_gives_none() -> None:
    signal = Signal()
    signal.fire()
    assert await signal.wait() is None


async def test_ringing_a_parked_bell_from_another_thread_is_refused() -> None:
    bell = Doorbell()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bell.wait)
        await wait_all_tasks_blocked()
        with pytest.raises(RuntimeError):
            await trio.to_thread.run_sync(bell.ring)
        bell.ring()
