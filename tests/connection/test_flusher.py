"""Flushing: the flusher of a reactor, and the driver that flushes whenever a task waits."""

import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.kernel import Rig
from tests.links import running_in
from tests.wire import TEXT
from wsframe.connection.flusher import LOOK_AT_CLOCK, Flusher, flushing
from wsframe.connection.frame_queue import FRAMES_AT_ONCE
from wsframe.connection.lead import ListenerBell
from wsframe.connection.memory_budget import FRAME_COST
from wsframe.connection.outbox import FLUSHED_AT_ONCE
from wsframe.doorbell import Doorbell, Signal
from wsframe.limits import Overflow
from wsframe.protocol.frames import LARGE, data_frame

MESSAGE = bytes(data_frame(TEXT, b"message"))
EMPTY = bytes(data_frame(TEXT, b""))


async def rung(doorbell: Doorbell) -> bool:
    """Tell whether a task that waits there goes on."""
    woken = []

    async def wait() -> None:
        await doorbell.wait()
        woken.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return bool(woken)


async def test_flush_serves_512_at_once_and_rings_for_the_rest() -> None:
    flusher = Flusher()
    flusher.clock = lambda: 0.0  # a slow machine would stop for the time it took
    rigs = [Rig(flusher=flusher) for _ in range(600)]
    for rig in rigs:
        rig.outbox.put(MESSAGE)
    assert await rung(flusher.doorbell)
    flusher.flush()
    assert [bool(rig.kernel.taken) for rig in rigs] == [True] * 512 + [False] * 88
    assert await rung(flusher.doorbell)
    flusher.flush()
    assert all(rig.kernel.taken == MESSAGE for rig in rigs)
    assert not await rung(flusher.doorbell)


async def test_outbox_is_marked_anew_after_a_flush() -> None:
    rig = Rig()
    for _ in range(3):
        rig.outbox.put(MESSAGE)
        assert rig.flusher.dirty == [rig.outbox]
        rig.flusher.flush()
        assert rig.flusher.dirty == []
    assert rig.kernel.taken == MESSAGE * 3


async def test_outbox_with_something_in_it_is_not_marked_twice() -> None:
    rig = Rig()
    for _ in range(5):
        rig.outbox.put(MESSAGE)
    assert rig.flusher.dirty == [rig.outbox]


async def test_blocked_outbox_is_left_to_the_poller() -> None:
    rig = Rig(0)
    rig.outbox.put(MESSAGE)
    rig.flusher.flush()
    rig.outbox.put(MESSAGE)
    assert rig.flusher.dirty == []


async def test_send_outside_any_turn_rings_the_attendant_once_per_batch() -> None:
    flusher = Flusher()
    first, second = Rig(flusher=flusher), Rig(flusher=flusher)
    first.outbox.put(MESSAGE)
    second.outbox.put(MESSAGE)
    assert await rung(flusher.doorbell)
    assert flusher.dirty == [first.outbox, second.outbox]


async def test_bug_in_one_outbox_costs_that_link_alone(caplog: pytest.LogCaptureFixture) -> None:
    flusher = Flusher()
    broken, sound = Rig(flusher=flusher), Rig(flusher=flusher)

    def bug(_: object) -> NoReturn:
        raise ZeroDivisionError

    broken.outbox.send = bug
    broken.outbox.put(MESSAGE)
    sound.outbox.put(MESSAGE)
    flusher.flush()
    assert broken.link.told == ["broken"]
    assert sound.kernel.taken == MESSAGE
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_driver_flushes_each_time_its_task_waits() -> None:
    rig, seen = Rig(), []

    async def task() -> None:
        for _ in range(3):
            rig.outbox.put(MESSAGE)
            await trio.lowlevel.checkpoint()
            seen.append(len(rig.kernel.calls))

    await flushing(task(), rig.flusher)
    assert seen == [1, 2, 3]
    assert not await rung(rig.flusher.doorbell), "the attendant is not needed for a task that flushes itself"


async def test_driver_gathers_what_is_sent_between_two_waits() -> None:
    rig = Rig()

    async def task() -> None:
        for _ in range(10):
            rig.outbox.put(MESSAGE)
        await trio.lowlevel.checkpoint()

    await flushing(task(), rig.flusher)
    assert rig.kernel.calls == [MESSAGE * 10]


async def test_driver_flushes_when_its_task_returns_or_raises() -> None:
    rig = Rig()

    async def task(error: Exception | None) -> str:
        rig.outbox.put(MESSAGE)
        if error is not None:
            raise error
        return "result"

    assert await flushing(task(None), rig.flusher) == "result"
    assert len(rig.kernel.calls) == 1
    with pytest.raises(KeyError):
        await flushing(task(KeyError("x")), rig.flusher)
    assert len(rig.kernel.calls) == 2


async def test_driver_hands_values_and_exceptions_to_its_task() -> None:
    send, receive = trio.open_memory_channel[int](0)

    async def task() -> list[int | str]:
        found: list[int | str] = [await receive.receive()]
        try:
            await receive.receive()
        except trio.EndOfChannel:
            found.append("end")
        return found

    async def sender() -> None:
        await send.send(17)
        send.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender)
        assert await flushing(task(), Flusher()) == [17, "end"]
    receive.close()


async def test_driver_passes_cancellation_in_and_out(autojump_clock: MockClock) -> None:
    rig, notes = Rig(), []

    async def task() -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            notes.append("cancelled")
            rig.outbox.put(MESSAGE)
            raise

    with trio.move_on_after(1) as scope:
        await flushing(task(), rig.flusher)
    assert scope.cancelled_caught
    assert notes == ["cancelled"]
    assert rig.kernel.taken == MESSAGE


async def test_driver_lets_its_task_catch_a_timeout_of_its_own(autojump_clock: MockClock) -> None:
    async def task() -> bool:
        with trio.move_on_after(1) as scope:
            await trio.sleep_forever()
        return scope.cancelled_caught

    assert await flushing(task(), Flusher())


async def test_driver_may_use_a_nursery_inside() -> None:
    rig = Rig()

    async def child() -> None:
        rig.outbox.put(MESSAGE)

    async def task() -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
        return "joined"

    assert await flushing(task(), rig.flusher) == "joined"
    assert await rung(rig.flusher.doorbell), "a child is a task of its own: the attendant flushes for it"


@pytest.mark.parametrize("make", [Doorbell, ListenerBell])
async def test_a_task_that_rings_itself_by_its_flush_can_be_cancelled_at_once(make: Callable[[], Doorbell]) -> None:
    """The ring comes after the task has parked, and before trio knows how to abort its wait."""
    flusher = Flusher()
    flusher.doorbell = make()
    flusher.clock = lambda: 0.0
    for rig in [Rig(flusher=flusher) for _ in range(3000)]:
        rig.outbox.put(MESSAGE)
    flusher.doorbell.rung = False

    async def attend() -> None:
        while True:
            await flusher.doorbell.wait()

    with trio.CancelScope() as scope:
        scope.cancel()
        await flushing(attend(), flusher)
    assert scope.cancelled_caught
    assert len(flusher.dirty) < 3000


async def test_a_task_whose_flush_fires_the_signal_it_waits_for_can_be_cancelled_at_once() -> None:
    signal, rig = Signal(), Rig()
    rig.outbox.drained = signal

    async def send() -> None:
        rig.outbox.put(MESSAGE)
        await signal.wait()

    with trio.CancelScope() as scope:
        scope.cancel()
        await flushing(send(), rig.flusher)
    assert signal.value is True


@pytest.mark.parametrize("wait", [trio.lowlevel.checkpoint, trio.lowlevel.cancel_shielded_checkpoint])
async def test_a_task_that_is_not_driven_is_in_no_turn(wait: Callable[[], Awaitable[None]]) -> None:
    """While a driven task waits, another one's send has to ring the attendant."""
    rig = Rig()

    async def driven() -> None:
        await wait()
        await trio.sleep_forever()

    async def drive() -> None:
        await flushing(driven(), rig.flusher)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drive)
        await wait_all_tasks_blocked()
        rig.outbox.put(MESSAGE)
        assert await rung(rig.flusher.doorbell)
        nursery.cancel_scope.cancel()


async def test_a_flush_ends_for_its_length_and_the_poller_tells_when_it_goes_on() -> None:
    rig = Rig()
    for _ in range(3 * FRAMES_AT_ONCE):
        rig.outbox.put(EMPTY)
    rig.flusher.flush()
    assert len(rig.kernel.frames) == FRAMES_AT_ONCE
    assert (rig.link.told, rig.outbox.blocked) == (["blocked after progress"], True)
    for turns in (2, 3):
        rig.outbox.flush()
        assert len(rig.kernel.frames) == turns * FRAMES_AT_ONCE
    assert rig.link.told[-2:] == ["unblocked", "emptied"]


async def test_a_flush_ends_after_one_mib_too() -> None:
    rig = Rig()
    for _ in range(100):
        rig.outbox.put(data_frame(TEXT, bytes(60_000)))
    rig.flusher.flush()
    assert FLUSHED_AT_ONCE <= len(rig.kernel.taken) <= FLUSHED_AT_ONCE + LARGE
    while rig.outbox.blocked:
        rig.outbox.flush()
    assert len(rig.kernel.frames) == 100


@pytest.mark.parametrize("overflow", ["disconnect", "drop_oldest", "drop_newest"])
async def test_a_kernel_that_takes_more_is_asked_before_an_overflow_is_declared(overflow: Overflow) -> None:
    """One flush has ended for its length; the hook sends on before the poller has told."""
    rig = Rig(limit=3 * FRAMES_AT_ONCE * (FRAME_COST + 2), overflow=overflow)
    for _ in range(3):
        for _ in range(3 * FRAMES_AT_ONCE):
            assert rig.outbox.put(EMPTY)
        rig.flusher.flush()
    assert "unblocked" in rig.link.told, "it was blocked, and asked all the same"
    while rig.outbox.blocked:
        rig.outbox.flush()
    assert len(rig.kernel.frames) == 9 * FRAMES_AT_ONCE
    assert rig.outbox.dropped == 0


async def test_many_long_flushes_are_taken_in_turn() -> None:
    """After 5 ms the attendant goes on, after others; nothing is sent twice or left."""
    flusher, now = Flusher(), [0.0]
    flusher.clock = lambda: now[0]
    rigs = [Rig(flusher=flusher) for _ in range(10)]
    for rig in rigs:

        def send(data: bytes | memoryview, rig: Rig = rig) -> int:
            now[0] += 0.002
            return rig.kernel.send(data)

        rig.outbox.send = send
        rig.outbox.put(MESSAGE)
    with running_in("python"):
        assert await rung(flusher.doorbell)
        flusher.flush()
        assert [bool(rig.kernel.taken) for rig in rigs] == [True] * LOOK_AT_CLOCK + [False] * (10 - LOOK_AT_CLOCK)
        while await rung(flusher.doorbell):
            flusher.flush()
    assert [rig.kernel.taken for rig in rigs] == [MESSAGE] * 10
    assert not flusher.dirty
