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


async def test_a_link_that_is_forgotten_leaves_nothing_behind() -> None:
    loop: Loop[object] = Loop(ConnectionPool(), 1000)
    poller = Forgetting()
    loop.poller = cast(Poller, poller)
    loop.links[7] = object()
    loop.pool.add(7, Connection(trio.current_time()))
    loop.forget(7)
    assert (loop.links, len(loop.pool), poller.forgotten) == ({}, 0, [7])
    assert loop.pool.next_deadline() == inf


async def test_the_last_link_that_is_forgotten_ends_the_wait() -> None:
    loop: Loop[object] = Loop(ConnectionPool(), 1000)
    loop.poller = cast(Poller, Forgetting())
    waited = trio.Event()

    async def wait() -> None:
        await loop.until_empty()
        waited.set()

    with trio.fail_after(PATIENCE):
        await loop.until_empty()
        loop.links |= {7: object(), 8: object()}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            loop.forget(7)
            await trio.testing.wait_all_tasks_blocked()
            assert not waited.is_set()
            loop.forget(8)


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
