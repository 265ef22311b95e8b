"""The memory of a room."""

from __future__ import annotations

import gc
import tracemalloc

import trio
from trio.testing import wait_all_tasks_blocked

from benchmarks.rooms import memory_of_a_room

ROOMS = 50


async def memory_of_two_tasks() -> float:
    """Return the bytes that trio takes for the tasks of a room: two, with two nurseries and a scope."""

    async def keeper() -> None:
        with trio.CancelScope():
            async with trio.open_nursery():
                await trio.sleep_forever()

    async def life() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper)
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        gc.collect()
        tracemalloc.start(1)
        try:
            for _ in range(ROOMS):
                nursery.start_soon(life)
            await wait_all_tasks_blocked()
            return tracemalloc.get_traced_memory()[0] / ROOMS
        finally:
            tracemalloc.stop()
            nursery.cancel_scope.cancel()


async def test_a_room_takes_little_beside_its_tasks() -> None:
    assert await memory_of_a_room(ROOMS) < 2.4 * await memory_of_two_tasks()
