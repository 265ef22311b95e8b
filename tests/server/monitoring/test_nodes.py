"""The servers of a service tell of themselves when somebody looks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.recorder import Recorder
from wsframe.backplane import MemoryBackplane, MemoryHub
from wsframe.server.local_server import LocalServer
from wsframe.server.monitoring.nodes import (
    FRESH,
    LONGEST,
    MOST,
    NUMBERS,
    PATIENCE,
    QUESTION,
    TOPIC,
    merged,
    nodes_of,
    read_summary,
)
from wsframe.testing.kit import Kit, open_kit

SUMMARY = {"node": "n", "service": "s", "host": "h", "address": "ws://h", **dict.fromkeys(NUMBERS, 1)}


@asynccontextmanager
async def kits(count: int, hub: MemoryHub | None = None) -> AsyncIterator[list[Kit]]:
    """Run so many servers that share a backplane."""
    hub = hub or MemoryHub()
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(open_kit(Recorder(), backplane=MemoryBackplane(hub))) for _ in range(count)
        ]


def local_server_of(kit: Kit) -> LocalServer:
    local = kit.server._internals
    assert isinstance(local, LocalServer)
    return local


def published(kit: Kit, payload: bytes) -> None:
    """Have a server hear something on the topic."""
    local_server_of(kit).topics.message(TOPIC, payload, "other", None)


async def test_each_server_tells_of_itself_once_somebody_asks(autojump_clock: MockClock) -> None:
    async with kits(3) as (one, two, three):
        await two.connect()
        servers = [local_server_of(kit) for kit in (one, two, three)]
        found = await servers[0].nodes.ask()
        assert found[0]["node"] == servers[0].topics.interest.node
        clients = {summary["node"]: summary["clients"] for summary in found}
        assert clients == {local.topics.interest.node: int(local is servers[1]) for local in servers}
        assert merged(found) == [{**found[0], "processes": 3, "clients": 1}]  # they are one process here


async def test_only_the_first_question_waits_and_a_server_that_has_gone_is_forgotten(autojump_clock: MockClock) -> None:
    hub = MemoryHub()
    async with kits(1, hub) as (one,):
        nodes = local_server_of(one).nodes
        async with kits(1, hub):
            began = trio.current_time()
            assert len(await nodes.ask()) == 2
            assert trio.current_time() == began + PATIENCE
            assert len(await nodes.ask()) == 2
            assert trio.current_time() == began + PATIENCE
        assert len(await nodes.ask()) == 2
        await trio.sleep(FRESH + 0.1)
        assert len(await nodes.ask()) == 1


async def test_nothing_is_said_while_nobody_asks_and_seldom_if_many_do(autojump_clock: MockClock) -> None:
    async with kits(2) as (one, two):
        said: list[bytes] = []
        interest = local_server_of(two).topics.interest
        assert interest.others is not None
        publish = interest.others.publish

        def noting(topic: str, payload: bytes, **options: Any) -> bool:
            if topic == TOPIC:
                said.append(payload)
            return publish(topic, payload, **options)

        interest.others.publish = noting  # type: ignore[method-assign]
        await trio.sleep(100)
        assert said == []
        for _ in range(50):
            published(two, QUESTION)
        assert len(said) == 1
        published(one, QUESTION)  # of another server that looks: its answers are for all
        published(one, said[0])
        await wait_all_tasks_blocked()
        assert len(await local_server_of(one).nodes.ask()) == 2


async def test_a_server_without_a_backplane_is_alone_and_does_not_wait(autojump_clock: MockClock) -> None:
    async with open_kit(Recorder()) as kit:
        began = trio.current_time()
        (found,) = await nodes_of(kit.server)
        assert found["processes"] == 1
        assert trio.current_time() == began


@pytest.mark.parametrize(
    "change", [{"node": 1}, {"clients": "1"}, {"clients": True}, {"clients": 1.5}, {"host": "x" * LONGEST}, None]
)
def test_other_summaries_are_none(change: dict[str, object] | None) -> None:
    assert read_summary(json.dumps(SUMMARY | {"more": 1}).encode()) == SUMMARY
    assert read_summary(json.dumps(None if change is None else SUMMARY | change).encode()) is None
    assert read_summary(b"{" * 900) is None


async def test_summaries_are_bounded_and_odd_ones_are_a_line(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with kits(1) as (one,):
        published(one, json.dumps(SUMMARY).encode())
        assert len(await local_server_of(one).nodes.ask()) == 1  # it came before the question
        for number in range(MOST + 5):
            published(one, json.dumps(SUMMARY | {"node": str(number)}).encode())
        published(one, b"nonsense")
        assert len(await local_server_of(one).nodes.ask()) == 1 + MOST
    assert caplog.text.count("a summary of another server is dropped") == 1


def test_workers_of_a_service_are_one_row() -> None:
    found = merged([SUMMARY, SUMMARY | {"service": "t"}, SUMMARY | {"node": "m", "clients": 5}])
    assert [(one["service"], one["processes"], one["clients"]) for one in found] == [("s", 2, 6), ("t", 1, 1)]
