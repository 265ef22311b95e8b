"""Errands of a life are done in the listener task, in their turn."""

from __future__ import annotations

import pytest
import trio

import wsframe
from tests.handing import Goer, life_of, two_servers
from tests.wire import connected, text
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
