"""A backplane between servers of one process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from wsframe.backplane.interface import Backplane, History
from wsframe.backplane.memory import MemoryBackplane, MemoryHub
from wsframe.testing.backplanes import HistoryConformance, LeaseConformance, Node, PublishConformance


def run_at_once(function: Callable[..., Coroutine[None, None, None]], **options: Any) -> None:
    """Run a test whose waits cost no time."""
    trio.run(function, **{**options, "clock": MockClock(autojump_threshold=0)})


class TestMemory(PublishConformance, HistoryConformance, LeaseConformance):
    @pytest.fixture(autouse=True)
    def _clock(self, request: pytest.FixtureRequest) -> None:
        """Have the fake clock; pytest-trio takes one only from a test's own arguments."""
        request.node.add_marker(pytest.mark.trio(run=run_at_once), append=False)

    async def test_the_clock_is_fake(self) -> None:
        await trio.sleep(43_200)

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Callable[[], Backplane]]:
        hub = MemoryHub()
        yield lambda: MemoryBackplane(hub)


async def test_a_node_that_does_not_keep_up_learns_of_the_gap() -> None:
    hub = MemoryHub(limit=1_000)
    a, b = Node("a", MemoryBackplane(hub)), Node("b", MemoryBackplane(hub))
    async with trio.open_nursery() as nursery:
        for node in (a, b):
            await nursery.start(node.backplane.run, node.name, node.told)
        await b.want("t")
        for number in range(10):
            a.backplane.publish("t", bytes([number]) * 300)
        await b.told.until(lambda: b.told.gaps)
        assert b.told.order[-3:] == ["message t", "message t", "gap t"]
        a.backplane.publish("t", b"after")
        await b.told.until(lambda: b.told.payloads("t")[-1] == b"after")
        nursery.cancel_scope.cancel()


async def test_a_backplane_that_does_not_run_acquires_nothing() -> None:
    plane = MemoryBackplane(MemoryHub())
    assert await plane.acquire(["k"], 5.0) == [""]
    plane.want(["t"])
    plane.unwant(["t", "u"])


async def test_a_hub_in_memory_forgets_topics_that_nobody_uses(autojump_clock: object) -> None:
    hub = MemoryHub()
    a = Node("a", MemoryBackplane(hub))
    async with trio.open_nursery() as nursery:
        await nursery.start(a.backplane.run, a.name, a.told)
        for number in range(100):
            a.backplane.publish(f"t{number}", b"x", keep=History(seconds=1))
        assert len(hub.open()._logs) == 100
        await trio.sleep(10)
        a.backplane.publish("t", b"x")
        nursery.cancel_scope.cancel()
    assert len(hub.open()._logs) == 0
