"""The state that a reactor and its links share."""

from __future__ import annotations

from math import inf
from typing import cast

import trio.testing

from wsframe.connection.loop import Loop
from wsframe.limits import DEFAULT_TIMEOUTS
from wsframe.net.poller import Poller
from wsframe.protocol.deadlines import Deadlines
from wsframe.protocol.pool import ConnectionPool


class Connection:
    def __init__(self, now: float) -> None:
        self.deadlines = Deadlines(DEFAULT_TIMEOUTS, now)


class Forgetting:
    def __init__(self) -> None:
        self.forgotten: list[int] = []

    def forget(self, fd: int) -> None:
        self.forgotten.append(fd)


async def rung(loop: Loop[object]) -> bool:
    """Return whether the alarm rings, which it does once."""
    with trio.move_on_after(0.01) as scope:
        await loop.alarm.wait()
    return not scope.cancelled_caught


async def test_the_timer_is_woken_only_for_an_earlier_deadline(autojump_clock: trio.testing.MockClock) -> None:
    loop: Loop[object] = Loop(ConnectionPool(), 1000)
    connection = Connection(trio.current_time())
    loop.watch_deadlines(7, connection)
    assert await rung(loop), "it slept without an end"
    loop.alarm_at = loop.pool.next_deadline()
    loop.schedule(7)
    assert not await rung(loop)
    connection.deadlines.close_by = trio.current_time() + 1
    loop.schedule(7)
    assert await rung(loop)


async def test_a_link_that_is_forgotten_leaves_nothing_behind() -> None:
    loop: Loop[object] = Loop(ConnectionPool(), 1000)
    poller = Forgetting()
    loop.poller = cast(Poller, poller)
    loop.links[7] = object()
    loop.watch_deadlines(7, Connection(trio.current_time()))
    loop.forget(7)
    assert (loop.links, len(loop.pool), poller.forgotten) == ({}, 0, [7])
    assert loop.pool.next_deadline() == inf
    with trio.fail_after(60):
        await loop.emptied.wait()
