"""Counting the seats of a resource."""

from __future__ import annotations

import trio
import trio.testing

from tests.patience import PATIENCE
from wsframe.hooks.seats import Seats


async def test_the_last_free_seat_ends_the_wait(autojump_clock: trio.testing.MockClock) -> None:
    seats = Seats()
    seats.take()
    seats.take()
    seats.free()
    with trio.move_on_after(1) as scope:
        await seats.free_for(0)
    assert scope.cancelled_caught
    seats.free()
    with trio.fail_after(PATIENCE):
        await seats.free_for(0)
    assert seats.count == 0


async def test_time_without_clients_counts_from_the_last_one(autojump_clock: trio.testing.MockClock) -> None:
    seats = Seats()
    seats.take()
    seats.empty_since = float("inf")  # as a client has it that was let in

    async def leave() -> None:
        await trio.sleep(5)
        seats.free()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        await seats.free_for(10)
    assert trio.current_time() == 15


async def test_a_newcomer_that_was_refused_does_not_count(autojump_clock: trio.testing.MockClock) -> None:
    seats = Seats()
    seats.take()
    seats.free()
    await seats.free_for(10)
    assert trio.current_time() == 0
