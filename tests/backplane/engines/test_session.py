"""One connection of an engine: probes, topics and holes, under a fake clock."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.backplane.fake_engine import FakeEngine, nodes
from wsframe.backplane.engines.supervised import SupervisedBackplane
from wsframe.backplane.interface import Position


async def test_a_deaf_connection_is_replaced_within_two_seconds(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a", "b") as (a, b):
        await b.want("t")
        engine.deaf = True
        a.backplane.publish("t", b"lost")
        began = trio.current_time()
        await b.told.until(lambda: b.told.reached == [True, False])
        assert trio.current_time() - began <= 2
        engine.deaf = False
        await b.told.until(lambda: b.told.reached[-1])
        await a.told.until(lambda: len(a.told.reached) == 3)
        assert trio.current_time() - began <= 3
        a.backplane.publish("t", b"after")
        await b.told.until(lambda: b.told.messages)
        assert b.told.order[-4:] == ["gap None", "reach True", "wanted t", "message t"]
    assert "did not come back within 1 s; trying again" in caplog.text


async def test_a_frozen_engine_is_noticed_within_two_seconds_and_publishing_never_waits(
    autojump_clock: MockClock,
) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a") as (a,):
        began = trio.current_time()
        engine.frozen = True
        while a.backplane.publish("t", bytes(100_000)):
            pass
        assert trio.current_time() == began
        await a.told.until(lambda: a.told.reached[-1] is False)
        assert trio.current_time() - began <= 2
        assert not a.backplane.publish("t", b"x")
        engine.frozen = False
        await a.told.until(lambda: a.told.reached[-1])


async def test_a_message_lost_on_its_way_is_a_gap_before_the_next(autojump_clock: MockClock) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a", "b") as (a, b):
        await b.want("t", "u")
        engine.losing.add(b"lost")
        for payload in (b"first", b"lost", b"third"):
            a.backplane.publish("t", payload)
        a.backplane.publish("u", b"end")
        await b.told.until(lambda: b.told.payloads("u"))
        assert b.told.order[-4:] == ["message t", "gap t", "message t", "message u"]


async def test_the_first_topics_are_wanted_in_chunks(autojump_clock: MockClock) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a") as (a,):
        await a.want(*(f"t{number}" for number in range(1_100)))
        assert engine.subscribed_at_once == [2, 512, 512, 76]
        engine.kill()
        await a.told.until(lambda: len(a.told.wants) == 2_200)


async def test_messages_of_a_topic_wait_until_its_position_is_known(autojump_clock: MockClock) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a", "b") as (a, b):
        engine.newest_waits = trio.Event()
        b.backplane.want(["t"])
        await wait_all_tasks_blocked()
        a.backplane.publish("t", b"early")
        await wait_all_tasks_blocked()
        assert b.told.messages == []
        engine.positions["t"] = Position(1, 5)
        engine.newest_waits.set()
        await b.told.until(lambda: b.told.messages)
        assert b.told.wants == [("t", Position(1, 5))]
        assert b.told.order[-2:] == ["wanted t", "message t"]


async def test_a_topic_left_and_wanted_again_at_once_is_wanted(autojump_clock: MockClock) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a", "b") as (a, b):
        await b.want("t")
        b.backplane.unwant(["t"])
        await b.want("t")
        a.backplane.publish("t", b"x")
        await b.told.until(lambda: b.told.messages)
        b.backplane.want(["u"])
        b.backplane.unwant(["u"])
        await b.want("v")
        assert [topic for topic, _ in b.told.wants] == ["t", "t", "v"]


async def test_a_node_that_was_stopped_for_long_keeps_its_connection(autojump_clock: MockClock) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a") as (a,):
        for _ in range(3):
            await trio.sleep(0.7)
            autojump_clock.jump(60)  # as if the process, or its thread, had not run
        await trio.sleep(5)
        assert a.told.reached == [True]


async def test_a_message_that_cannot_be_read_is_a_gap(autojump_clock: MockClock) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a") as (a,):
        await a.want("t")
        engine.send("t", b"9 of a later version")
        assert a.told.gaps == ["t"]


async def test_a_gap_of_all_topics_reaches_the_other_nodes_before_the_next_message(autojump_clock: MockClock) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a", "b") as (a, b):
        await b.want("t")
        assert isinstance(a.backplane, SupervisedBackplane)
        a.backplane.doubt(None)
        a.backplane.publish("t", b"x")
        await b.told.until(lambda: b.told.messages)
        assert b.told.order[-2:] == ["gap None", "message t"]
        a.backplane.doubt(None)
        await b.told.until(lambda: len(b.told.gaps) == 2)  # also if nothing follows
        assert (a.told.gaps, b.told.gaps) == ([], [None, None])


async def test_a_node_that_publishes_for_others_names_them(autojump_clock: MockClock) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a", "b") as (a, b):
        await b.want("t")
        assert isinstance(a.backplane, SupervisedBackplane)
        for sender in ("worker 1", "", "worker 2"):
            a.backplane.publish("t", b"x", sender=sender)
        await b.told.until(lambda: len(b.told.messages) == 3)
        assert [heard.sender for heard in b.told.messages] == ["worker 1", "a", "worker 2"]
        assert b.told.gaps == []
