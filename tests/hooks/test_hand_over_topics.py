"""Topics of clients that go to another process: messages with history arrive once, of others a hole is told."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio

import wsframe
from tests.handing import Goer, give, hand_over, take, two_servers
from tests.local_server import local_server_of
from tests.wire import connected, text, until
from wsframe import Member
from wsframe.backplane import History
from wsframe.backplane.memory import MemoryHub
from wsframe.resources.topics.topic import Topic


class Subscriber(Goer):
    """Subscribes its clients to the topic ``news``, and notes the holes that it is told of."""

    scope = "shared"

    def __init__(self) -> None:
        super().__init__()
        self.holes: list[str] = []

    async def client_connected(self, client: wsframe.Client) -> None:
        await super().client_connected(client)
        self.subscribe(client, "news", member=Member("ann", {"since": 7}))

    async def missed(self, topic: str) -> None:
        self.holes.append(f"missed {topic}")

    async def resync(self, topic: str) -> None:
        self.holes.append(f"resync {topic}")


def keep_back(late: list[Any], goes_on: Callable[..., None], topic: Topic, *message: Any) -> None:
    """Keep back the messages of the topic ``news``; those about members go on."""
    if topic.name == "news":
        late.append((topic, message))
    else:
        goes_on(topic, *message)


class Reader(Subscriber):
    history = History(messages=20)


async def test_11_a_topic_whose_history_the_new_process_does_not_have_is_resynchronized() -> None:
    old, new = Reader(), Reader()
    async with two_servers(old, new) as servers, connected(servers[0]) as peer:
        await peer.send(text("one"))
        await peer.receive_text()
        assert await hand_over(servers, old, new)
        await until(lambda: new.holes == ["resync news"])


@pytest.mark.parametrize("others", [False, True], ids=["alone", "beside others"])
async def test_workers_7_messages_with_history_that_come_during_the_hand_over_arrive_once_and_in_order(
    others: bool,
) -> None:
    old, new = Reader(), Reader()
    async with two_servers(old, new, MemoryHub()) as servers, AsyncExitStack() as stack:
        peer = await stack.enter_async_context(connected(servers[0]))
        other = await stack.enter_async_context(connected(servers[1])) if others else None
        await until(lambda: bool(old.clients) and len(new.clients) == int(others))

        async def publish(first: int, beyond: int) -> None:
            for number in range(first, beyond):
                servers[0].publish_text("news", str(number), history=Reader.history)
            await trio.sleep(0.05)

        await publish(0, 10)
        given = await give(servers[0], old)
        assert given is not None
        await publish(10, 20)
        assert (await take(servers[1], new, given)).taken
        await publish(20, 30)
        for one in filter(None, (peer, other)):
            assert [await one.receive_text() for _ in range(30)] == [str(number) for number in range(30)]
        assert new.holes == []


async def test_11_messages_with_history_that_are_not_kept_any_more_are_a_hole_that_is_told_first() -> None:
    old, new = Reader(), Reader()
    async with two_servers(old, new, MemoryHub()) as servers, connected(servers[0]) as peer:
        await until(lambda: bool(old.clients))
        servers[0].publish_text("news", "0", history=Reader.history)
        assert await peer.receive_text() == "0"
        given = await give(servers[0], old)
        assert given is not None
        for number in range(1, 30):
            servers[0].publish_text("news", str(number), history=Reader.history)
        assert (await take(servers[1], new, given)).taken
        await until(lambda: new.holes == ["resync news"])
        servers[0].publish_text("news", "30", history=Reader.history)
        assert await peer.receive_text() == "30"


async def test_messages_with_history_that_the_new_process_gets_late_are_not_sent_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, new = Reader(), Reader()
    async with (
        two_servers(old, new, MemoryHub()) as servers,
        connected(servers[0]) as peer,
        connected(servers[1]) as other,
    ):
        await until(lambda: bool(old.clients and new.clients))
        servers[0].publish_text("news", "first", history=Reader.history)
        assert await peer.receive_text() == await other.receive_text() == "first"
        topic = local_server_of(servers[1]).topics.interest.topics["news"]
        late: list[Any] = []
        goes_on = Topic.take
        monkeypatch.setattr(Topic, "take", lambda *message: keep_back(late, goes_on, *message))
        servers[0].publish_text("news", "0", history=Reader.history)
        await until(lambda: len(late) == 2)
        monkeypatch.undo()
        for one, message in late:
            if one is not topic:
                one.take(*message)
        assert await peer.receive_text() == "0"
        given = await give(servers[0], old)
        assert given is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take, servers[1], new, given)
            await until(lambda: "takes over, clients: 1" in new.notes)
            for one, message in late:
                if one is topic:
                    one.take(*message)
        servers[0].publish_text("news", "1", history=Reader.history)
        assert await peer.receive_text() == "1"
        assert [await other.receive_text() for _ in range(2)] == ["0", "1"]
        assert new.holes == []


async def test_id_topics_and_counts_go_along_and_a_possible_hole_is_told() -> None:
    old, new = Subscriber(), Subscriber()
    async with two_servers(old, new) as servers, connected(servers[0]) as peer:
        await peer.send(text("one"))
        await peer.receive_text()
        (before,) = old.clients
        counts = before.statistics()
        assert await hand_over(servers, old, new)
        (after,) = new.clients
        assert (after.id, after.data, after.path) == (before.id, f"data of {before.id}", "/")
        assert after.statistics()[0] == counts.messages_received
        assert after.statistics().messages_sent == counts.messages_sent
        await until(lambda: new.holes == ["missed news"])
        assert await servers[1].presence("news") == [Member("ann", {"since": 7})]
        servers[1].publish_text("news", "still subscribed")
        assert await peer.receive_text() == "still subscribed"
