"""History: a hole is filled before the next message, or told."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.resources.history_feed import Feed, subscribed, topics_of, two_servers
from tests.resources.lossy import Lossy, forget
from tests.user_code.breaking import Panic
from wsframe.backplane import History, MemoryBackplane, MemoryHub, Position
from wsframe.resources.topics.recovery import LOOK
from wsframe.testing import open_kit


class Full(MemoryBackplane):
    """Takes no message with history."""

    def publish(self, *args: Any, **kwargs: Any) -> bool:
        return False


async def test_messages_with_history_reach_all_servers_in_one_order(autojump_clock: MockClock) -> None:
    async with two_servers() as (one, two):
        a, b = await subscribed(one, "t"), await subscribed(two, "t")
        for number in range(20):
            a.send_text(f"t a{number}")
            b.send_text(f"t b{number}")
        of_a = [await a.receive() for _ in range(40)]
        assert [await b.receive() for _ in range(40)] == of_a
        assert sorted(of_a) == sorted(f"{name}{number}" for name in "ab" for number in range(20))


async def test_a_server_alone_keeps_history_for_itself(autojump_clock: MockClock) -> None:
    feed = Feed()
    async with open_kit(feed) as kit:
        early = feed.publish_text("t", "before anybody came")
        assert early == (0, 0)
        a = await subscribed(kit, "t")
        assert feed.publish_text("t", "x") == (1, 0)
        assert await a.receive() == "x"
        newest = await kit.server.newest("t")
        assert newest is not None
        assert newest.offset == 2
        missed = await kit.server.since("t", newest._replace(offset=0))
        assert missed is not None
        assert [(one.message, one.position) for one in missed] == [
            ("before anybody came", newest._replace(offset=1)), ("x", newest)
        ]  # fmt: skip


async def test_a_topic_can_have_a_history_of_its_own(autojump_clock: MockClock) -> None:
    class Plain(Feed):
        history = None

    plain = Plain()
    async with open_kit(plain) as kit:
        a = await subscribed(kit, "t")
        plain.publish_text("t", "kept", history=History())
        plain.publish_binary("t", b"kept", history=History())
        kit.server.publish_text("t", "of the server", history=History())
        assert [await a.receive() for _ in range(3)] == ["kept", b"kept", "of the server"]
        plain.publish_text("t", "not kept")
        assert await a.receive() == "not kept"
        newest = await kit.server.newest("t")
        assert newest is not None
        assert newest.offset == 3


async def test_a_message_with_history_excludes_nobody(autojump_clock: MockClock) -> None:
    feed = Feed()
    async with open_kit(feed) as kit:
        a = await subscribed(kit, "t")
        with pytest.raises(ValueError, match="a message with history has no exclude="):
            feed.publish_text("t", "x", exclude=next(iter(feed.clients)))
        with pytest.raises(ValueError, match="a message with history has no exclude="):
            feed.publish_text("t", "x", exclude=None)  # type: ignore[arg-type]
        feed.publish_text("t", "x", exclude=[])
        assert await a.receive() == "x"


async def test_a_history_that_is_none_is_refused_before_the_engine_has_it(autojump_clock: MockClock) -> None:
    feed = Feed()
    async with open_kit(feed) as kit:
        await subscribed(kit, "t")
        with pytest.raises(TypeError, match=r"history is a wsframe\.backplane\.History or None, not 5: give history="):
            feed.publish_text("t", "x", history=5)  # type: ignore[arg-type]


async def test_messages_that_no_engine_takes_share_the_lines_of_a_second(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    feed = Feed()
    async with open_kit(feed, backplane=Full(MemoryHub())):
        for number in range(50):
            feed.publish_text(f"t{number}", "x", history=History())
    assert len([one for one in caplog.records if "is lost" in one.message]) < 50


async def test_a_hole_is_filled_before_the_next_message(autojump_clock: MockClock) -> None:
    hub = MemoryHub()
    plane = Lossy(hub)
    async with open_kit(Feed(), backplane=MemoryBackplane(hub)) as one, open_kit(Feed(), backplane=plane) as two:
        a, b = await subscribed(one, "t"), await subscribed(two, "t")
        for number in range(10):
            plane.losing = 3 <= number < 6
            a.send_text(f"t {number}")
            await a.receive()
            await wait_all_tasks_blocked()
        assert [await b.receive() for _ in range(10)] == [str(number) for number in range(10)]
        assert topics_of(two).histories.filled == 1
        assert topics_of(two).histories.lost == 0


async def test_a_hole_larger_than_the_history_is_a_resync(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    hub, feed = MemoryHub(), Feed()
    plane = Lossy(hub)
    async with open_kit(Feed(), backplane=MemoryBackplane(hub)) as one, open_kit(feed, backplane=plane) as two:
        a, b = await subscribed(one, "t"), await subscribed(two, "t")
        other = await subscribed(two, "u")
        plane.losing = True
        for number in range(7):
            a.send_text(f"t {number}")
            await a.receive()
        await wait_all_tasks_blocked()
        plane.losing = False
        a.send_text("t after")
        assert await b.receive() == "snapshot of t"
        a.send_text("t last")
        assert await b.receive() == "last"
        a.send_text("u x")
        assert await other.receive() == "x"
        assert feed.resyncs == ["t"]
        assert topics_of(two).histories.lost == 1
    assert "Feed has lost messages of topic 't'" in caplog.text


async def test_the_loss_of_the_last_message_is_found(autojump_clock: MockClock) -> None:
    hub = MemoryHub()
    plane = Lossy(hub)
    async with open_kit(Feed(), backplane=MemoryBackplane(hub)) as one, open_kit(Feed(), backplane=plane) as two:
        a, b = await subscribed(one, "t"), await subscribed(two, "t")
        a.send_text("t 1")
        assert await b.receive() == "1"
        plane.losing = True
        a.send_text("t 2")
        await wait_all_tasks_blocked()
        before = trio.current_time()
        assert await b.receive() == "2"
        assert trio.current_time() - before <= 2 * LOOK + 0.1


async def test_the_loss_of_the_only_message_is_found(autojump_clock: MockClock) -> None:
    hub = MemoryHub()
    plane = Lossy(hub)
    async with open_kit(Feed(), backplane=MemoryBackplane(hub)) as one, open_kit(Feed(), backplane=plane) as two:
        a, b = await subscribed(one, "t"), await subscribed(two, "t")
        plane.losing = True
        a.send_text("t 1")
        assert await b.receive() == "1"


async def test_a_topic_that_is_silent_is_compared_each_10_seconds_and_one_without_history_never(
    autojump_clock: MockClock,
) -> None:
    class Plain(Feed):
        history = None

    for feed, expected in ((Feed(), 10), (Plain(), 0)):
        plane = Lossy(MemoryHub())
        async with open_kit(feed, backplane=plane) as kit:
            await subscribed(kit, "t")
            await trio.sleep(102)
            assert plane.asked == ["newest"] * expected


async def test_an_engine_that_raises_ends_no_server(autojump_clock: MockClock) -> None:
    """That of a program, which should return None."""

    class Raising(Lossy):
        async def newest(self, topic: str) -> Position | None:
            await super().newest(topic)
            raise Panic

        def unwant(self, topics: Collection[str]) -> None:
            raise Panic

    plane = Raising(MemoryHub())
    async with open_kit(Feed(), backplane=plane) as kit:
        client = await subscribed(kit, "t")
        await subscribed(kit, "u")
        await trio.sleep(102)
        assert len(plane.asked) > 5
        client.send_text("-t")
        await trio.sleep(200)
        client.send_text("+v")
        assert [await client.receive() for _ in range(2)] == ["-t", "+v"]


async def test_a_gap_of_all_topics_is_filled_from_history(autojump_clock: MockClock) -> None:
    hub = MemoryHub()
    plane = Lossy(hub)
    async with open_kit(Feed(), backplane=MemoryBackplane(hub)) as one, open_kit(Feed(), backplane=plane) as two:
        topics = [f"t{number}" for number in range(30)]
        a, b = await subscribed(one, *topics), await subscribed(two, *topics)
        for topic in topics:
            a.send_text(f"{topic} first")
            assert await b.receive() == "first"
        plane.losing = True
        for topic in topics:
            a.send_text(f"{topic} {topic}")
        await wait_all_tasks_blocked()
        plane.losing = False
        plane.told.gap(None)
        assert sorted([await b.receive() for _ in topics]) == sorted(topics)


async def test_a_topic_waits_for_an_engine_that_is_away_and_is_then_filled(autojump_clock: MockClock) -> None:
    hub = MemoryHub()
    plane = Lossy(hub)
    async with open_kit(Feed(), backplane=MemoryBackplane(hub)) as one, open_kit(Feed(), backplane=plane) as two:
        a, b = await subscribed(one, "t"), await subscribed(two, "t")
        a.send_text("t 1")
        assert await b.receive() == "1"
        plane.losing = plane.away = True
        a.send_text("t 2")
        await wait_all_tasks_blocked()
        plane.told.gap(None)
        await trio.sleep(60)
        plane.losing = plane.away = False
        a.send_text("t 3")
        assert [await b.receive(), await b.receive()] == ["2", "3"]


async def test_an_engine_that_has_forgotten_all_is_a_resync_and_never_a_wrong_fill(autojump_clock: MockClock) -> None:
    hub, feed = MemoryHub(), Feed()
    plane = Lossy(hub)
    async with open_kit(Feed(), backplane=MemoryBackplane(hub)) as one, open_kit(feed, backplane=plane) as two:
        a, b = await subscribed(one), await subscribed(two, "t")
        for number in range(3):
            a.send_text(f"t old{number}")
            assert await b.receive() == f"old{number}"
        forget(hub)
        a.send_text("t new1")
        assert await b.receive() == "snapshot of t"
        for number in range(2, 6):  # the offsets of the old epoch come again
            a.send_text(f"t new{number}")
            assert await b.receive() == f"new{number}"
        forget(hub)
        assert feed.resyncs == ["t"]
        await trio.sleep(3 * LOOK)  # without a message, too
        assert feed.resyncs == ["t", "t"]


async def test_a_backplane_that_cannot_take_a_message_with_history_gives_it_to_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    feed = Feed()
    async with open_kit(feed, backplane=Full(MemoryHub())) as kit:
        await subscribed(kit, "t")
        assert feed.publish_text("t", "x") == (0, 1)
    assert "a message of 't' is lost" in caplog.text


async def test_a_kept_message_that_cannot_be_read_is_a_resync(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    hub, feed = MemoryHub(), Feed()
    plane = Lossy(hub)
    async with open_kit(feed, backplane=plane) as kit:
        b = await subscribed(kit, "t")
        feed.publish_text("t", "1")
        assert await b.receive() == "1"
        for losing in (False, True):
            plane.losing = losing
            plane.publish("t", b"\xff of a later version", keep=Feed.history)
            await wait_all_tasks_blocked()
            plane.losing = False
            feed.publish_text("t", "2")
            assert await b.receive() == "snapshot of t"
            assert losing or await b.receive() == "2"
