"""Newcomers under way, and those that wait for something else: who comes back first, and how many at once."""

from __future__ import annotations

from typing import cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from wsframe.doorbell import Doorbell
from wsframe.server.newcomers.newcomer import Newcomer
from wsframe.server.newcomers.pending import Pending


class One:
    """A newcomer."""

    def __init__(self, *, since: float = 0.0, head_received: bool = False) -> None:
        self.since = since
        self.head_received = head_received
        self.scope = trio.CancelScope()
        self.handed_over = False


def some(pending: Pending, count: int) -> list[Newcomer]:
    """Have newcomers arrive."""
    made = [cast(Newcomer, One()) for _ in range(count)]
    pending.under_way.update(dict.fromkeys(made))
    return made


async def test_those_that_were_aside_come_back_in_order_as_soon_as_there_is_room() -> None:
    pending, gates, order = Pending(2), [trio.Event() for _ in range(5)], list[int]()
    bell = Doorbell()
    pending.rooms.append(bell)

    async def come(number: int, one: Newcomer) -> None:
        async with pending.aside(one):
            await gates[number].wait()
        order.append(number)

    async with trio.open_nursery() as nursery:
        first = some(pending, 5)
        for number, one in enumerate(first):
            nursery.start_soon(come, number, one)
            await wait_all_tasks_blocked()
        assert (pending.has_room(), bell.rung, pending.all()) == (True, True, first)
        for gate in gates:
            gate.set()
            await wait_all_tasks_blocked()
        for count in (2, 3, 4, 5):
            await wait_all_tasks_blocked()
            assert len(order) == count
            assert not pending.has_room()
            assert len(pending.all()) == 7 - count
            pending.decided(first[order[count - 2]])
    assert order == [0, 1, 2, 3, 4]


async def test_one_that_a_pump_carries_does_not_come_back() -> None:
    pending = Pending(1)
    carried, _ = some(pending, 2)
    async with pending.aside(carried):
        carried.handed_over = True
    assert carried not in pending.all()


async def test_after_an_error_or_a_cancellation_nobody_comes_back_and_nobody_is_forgotten() -> None:
    pending = Pending(1)
    first, second, third = some(pending, 3)
    with pytest.raises(ValueError, match="refused"):
        async with pending.aside(first):
            raise ValueError("refused")
    assert pending.all() == [second, third]
    with trio.CancelScope() as scope:
        async with pending.aside(second):
            scope.cancel()
    assert scope.cancelled_caught
    assert pending.all() == [third]
    pending.decided(third)
    assert pending.all() == []


async def test_one_that_is_cancelled_once_it_has_its_turn_leaves_that_to_the_next() -> None:
    pending, scope, done = Pending(1), trio.CancelScope(), list[str]()
    busy, first, second = some(pending, 3)

    async def come(name: str, one: Newcomer, within: trio.CancelScope) -> None:
        try:
            with within:
                async with pending.aside(one):
                    pass
                await trio.sleep_forever()
        finally:
            done.append(name)
            pending.decided(one)

    async with trio.open_nursery() as nursery:
        last = trio.CancelScope()
        nursery.start_soon(come, "first", first, scope)
        await wait_all_tasks_blocked()
        nursery.start_soon(come, "second", second, last)
        await wait_all_tasks_blocked()
        pending.decided(busy)
        scope.cancel()
        await wait_all_tasks_blocked()
        assert done == ["first"]
        assert list(pending.under_way) == [second]
        last.cancel()
    assert pending.all() == []


async def test_room_is_made_by_those_without_a_request_after_a_second(autojump_clock: MockClock) -> None:
    pending, now = Pending(3), trio.current_time()
    slow, honest, young = One(since=now), One(since=now, head_received=True), One(since=now + 0.5)
    pending.under_way.update(dict.fromkeys(cast(list[Newcomer], [honest, young, slow])))
    await trio.sleep(1.2)
    pending.make_room()
    assert [one.scope.cancel_called for one in (slow, honest, young)] == [True, False, False]
