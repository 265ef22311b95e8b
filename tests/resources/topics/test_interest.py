"""The topics that a server wants of the others."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import trio
from trio.testing import MockClock

from wsframe.backplane.interface import Backplane
from wsframe.resources.topics.interest import LINGER, Interest
from wsframe.resources.topics.topic import Receiver


class Wants:
    """A backplane that notes the topics that are wanted."""

    def __init__(self) -> None:
        self.wanted: set[str] = set()
        self.sent: list[tuple[str, bytes]] = []

    def want(self, topics: Collection[str]) -> None:
        self.wanted.update(topics)

    def unwant(self, topics: Collection[str]) -> None:
        self.wanted.difference_update(topics)

    def publish(self, topic: str, payload: bytes, *, keep: object = None) -> bool:
        self.sent.append((topic, payload))
        return True


async def test_a_topic_is_wanted_for_a_while_after_its_last_subscriber(autojump_clock: MockClock) -> None:
    wants = Wants()
    backplane = cast(Backplane, wants)
    interest = Interest(backplane)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(interest.let_go)
        interest.desert(interest.use("t"))
        await trio.sleep(LINGER / 2)
        assert wants.wanted == {"t"}
        await trio.sleep(LINGER)
        assert wants.wanted == set()
        nursery.cancel_scope.cancel()


async def test_a_topic_that_is_heard_stays_wanted_without_subscribers(autojump_clock: MockClock) -> None:
    wants = Wants()
    backplane = cast(Backplane, wants)
    interest = Interest(backplane)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(interest.let_go)
        reached = interest.hear("t")
        interest.desert(interest.use("t"))
        await trio.sleep(3 * LINGER)
        assert wants.wanted == {"t"}
        assert not reached.is_set()
        interest.reached("t")
        assert reached.is_set()
        interest.unhear("t")
        await trio.sleep(2 * LINGER)
        assert wants.wanted == set()
        nursery.cancel_scope.cancel()


def test_messages_go_to_the_function_that_hears_a_topic_and_to_nobody_else() -> None:
    interest, taken = Interest(cast(Backplane, Wants())), list[bytes]()
    interest.hear("own", taken.append)
    interest.hear("with subscribers")
    assert interest.take("own", b"x")
    assert not interest.take("with subscribers", b"x")
    assert not interest.take("other", b"x")
    assert taken == [b"x"]


def test_without_other_servers_nothing_is_awaited_and_nothing_sent() -> None:
    interest = Interest(None)
    assert interest.hear("t").is_set()
    assert not interest.tell("t", b"x")
    interest.desert(interest.use("u"))
    assert interest.topics == {}
    interest.unhear("t")


def test_bytes_go_to_the_others() -> None:
    wants = Wants()
    assert Interest(cast(Backplane, wants)).tell("t", b"x")
    assert wants.sent == [("t", b"x")]


async def test_a_topic_that_nobody_uses_goes_at_once_without_a_backplane() -> None:
    interest = Interest(None)
    topic = interest.use("t")
    assert interest.use("t") is topic
    interest.desert(topic)
    assert interest.topics == {}


async def test_a_topic_of_a_backplane_lingers(autojump_clock: MockClock) -> None:
    interest = Interest(None)
    early = interest.use("early")
    early.receivers[Receiver()] = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(interest.let_go)
        interest.engine()
        used, left = interest.use("used"), interest.use("left")
        for topic in (used, left, early):
            interest.desert(topic)
            interest.desert(topic)
        assert interest.use("used") is used
        await trio.sleep(2 * LINGER)
        assert set(interest.topics) == {"early", "used"}
        nursery.cancel_scope.cancel()


async def test_the_backplane_of_a_server_alone_is_made_when_it_is_needed(autojump_clock: MockClock) -> None:
    interest = Interest(None)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def wait() -> None:
            assert await interest.needed() is interest.engine()

        await trio.sleep(1)
        interest.engine()
    assert interest.others is None
    assert await interest.needed() is interest.engine()
