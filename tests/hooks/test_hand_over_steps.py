"""Errands of a life are done in the listener task, in their turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import wsframe
from tests.handing import Goer, give, life_of, two_servers
from tests.local_server import local_server_of
from tests.wire import connected, text
from wsframe.hooks.hand_over import HandOver
from wsframe.hooks.posts import Errand


async def test_an_errand_is_done_after_all_that_stands_before_it() -> None:
    resource = Goer()
    done = trio.Event()

    async def run() -> None:
        resource.journal.add("errand")
        done.set()

    async with two_servers(resource, Goer()) as servers, connected(servers[0]) as peer:
        await peer.send(text("hold"))
        await resource.journal.until("text hold")
        resource.post("before")
        life_of(resource).hand_over_steps.put_errand(Errand(run, done.set))
        resource.post("after")
        resource.release.set()
        await done.wait()
        await resource.journal.until("custom after")
    assert resource.notes[-5:-2] == ["custom before", "errand", "custom after"]


async def test_an_errand_of_a_life_that_ends_is_dropped_and_says_so() -> None:
    resource = Goer()
    dropped = trio.Event()

    async def never() -> None:
        pytest.fail("the life is over")

    async with two_servers(resource, Goer()) as servers, connected(servers[0]) as peer:
        await peer.send(text("hold"))
        await resource.journal.until("text hold")
        life_of(resource).hand_over_steps.put_errand(Errand(never, dropped.set))
        servers[0].hurry()
        await dropped.wait()


@pytest.mark.parametrize("leaving", [True, False])
async def test_workers_7_a_life_that_has_ended_in_the_meantime_is_not_waited_for(*, leaving: bool) -> None:
    """As one of a factory does with its last client: newcomers of its partition would wait for the deadline."""
    left, may_leave = trio.Event(), trio.Event()

    class Ended(Goer):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            yield
            left.set()
            await may_leave.wait()

    resource = Ended()
    async with two_servers(resource, Goer()) as servers:
        life = life_of(resource)
        giving = HandOver(life, local_server_of(servers[0]).reactor)
        life.retire()
        await left.wait()
        if not leaving:
            may_leave.set()
            await life.ended.wait()
        assert await giving.pack(inf) is None
        may_leave.set()
    assert not [note for note in resource.notes if note.startswith("hands over")]


async def test_a_life_that_is_cut_off_at_a_gate_is_not_waited_for() -> None:
    resource = Goer()
    async with two_servers(resource, Goer()) as servers, connected(servers[0]) as peer:
        await peer.send(text("hold"))
        await resource.journal.until("text hold")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(give, servers[0], resource, inf)
            await wait_all_tasks_blocked(0.01)
            servers[0].hurry()


async def test_tasks_end_while_hooks_go_on() -> None:
    resource = Goer()
    async with two_servers(resource, Goer()) as servers, connected(servers[0]) as peer:
        resource.start_soon(trio.sleep_forever)
        steps = life_of(resource).hand_over_steps
        steps.stop_tasks()
        await steps.tasks_ended.wait()
        assert not resource.post("late")
        with pytest.raises(wsframe.ResourceEnded):
            await resource.call(lambda: None)
        await peer.send(text("on"))
        assert await peer.receive_text() == "on"
