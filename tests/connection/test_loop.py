"""The state that a reactor and its links share."""

from __future__ import annotations

from math import inf
from typing import cast

import pytest
import trio.testing

from tests.links import Language, Links, languages, running_in
from tests.patience import PATIENCE
from tests.wire import BINARY, TEXT, frame
from wsframe.connection.loop import RECEIVE_BUFFER, Loop
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
    with trio.fail_after(PATIENCE):
        await loop.emptied.wait()


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_message_of_64_kib_comes_with_its_header_in_one_read(language: Language, opcode: int) -> None:
    with running_in(language):
        links = Links(language, buffer=RECEIVE_BUFFER)
        peer = links.open()
        assert peer.sock.send(frame(opcode, b"x" * 65536)) > 65536
        links.turn()
        assert (peer.inbox.received, peer.connection.undecoded) == (1, 0)
        links.close()
