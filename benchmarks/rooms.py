"""Tell the memory of a room: ``python -m benchmarks.rooms [ROOMS]``.

A factory makes a resource for each path. One client is in each room, and then as many are in one. The difference is a
room's own: its tasks, its mailbox, its place in the server. ``tracemalloc`` counts what Python allocates.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Iterable

import trio
from trio.testing import wait_all_tasks_blocked

import wsframe
from wsframe.testing import open_kit

__all__ = ["memory_of_a_room"]


class Room(wsframe.Resource):
    """Sends nothing."""


async def memory_of(paths: Iterable[str]) -> int:
    """Return the bytes that clients take with their rooms, one client for each of the paths."""
    registry = wsframe.Registry()
    registry.register_factory("/rooms/{room}", lambda request: Room(), max_resources=100_000)
    async with open_kit(registry) as kit:
        await kit.connect("/rooms/first")
        gc.collect()
        tracemalloc.start(1)
        try:
            clients = [await kit.connect(path) for path in paths]
            await wait_all_tasks_blocked()
            gc.collect()
            assert clients
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()


async def memory_of_a_room(rooms: int) -> float:
    """Return the bytes that a room takes beside its clients."""
    apart = await memory_of(f"/rooms/{number}" for number in range(rooms))
    together = await memory_of(["/rooms/0"] * rooms)
    return (apart - together) / rooms


async def main(rooms: int) -> None:
    print(f"{await memory_of_a_room(rooms) / 1024:.1f} KiB a room")


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
