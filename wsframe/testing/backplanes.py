"""Tests that every backplane passes: subclass these classes in a test module of pytest.

::

    class TestMine(PublishConformance, HistoryConformance):
        @asynccontextmanager
        async def service(self):
            async with my_engine() as address:
                yield lambda: MyBackplane(address)

``service`` starts an empty service and yields a function that makes a backplane of it. A backplane
without history or leases leaves out their class. The tests are async functions of trio: with
pytest-trio in ``trio_mode`` nothing else is needed, otherwise mark the class with ``pytest.mark.trio``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

import trio

from wsframe.backplane.interface import Backplane, History, Kept, Lease, Position

__all__ = ["Heard", "HistoryConformance", "LeaseConformance", "Node", "PublishConformance", "Recording"]

KEEP = History(messages=10, seconds=60.0, bytes=10_000)
ALL_BYTES = bytes(range(256))


class Heard(NamedTuple):
    """A message that a node received."""

    topic: str
    payload: bytes
    sender: str
    position: Position | None


class Recording:
    """A receiver of reports that keeps them, and lets tests wait for them."""

    def __init__(self) -> None:
        self.messages: list[Heard] = []
        self.wants: list[tuple[str, Position | None]] = []
        self.gaps: list[str | None] = []
        self.reached: list[bool] = []
        self.order: list[str] = []
        """``"message TOPIC"``, ``"wanted TOPIC"``, ``"gap TOPIC"`` and ``"reach True"``, as they came."""
        self._changed = trio.Event()

    def _note(self, report: str) -> None:
        self.order.append(report)
        self._changed.set()
        self._changed = trio.Event()

    def message(self, topic: str, payload: bytes, sender: str, position: Position | None) -> None:
        self.messages.append(Heard(topic, payload, sender, position))
        self._note(f"message {topic}")

    def wanted(self, topic: str, position: Position | None) -> None:
        self.wants.append((topic, position))
        self._note(f"wanted {topic}")

    def gap(self, topic: str | None) -> None:
        self.gaps.append(topic)
        self._note(f"gap {topic}")

    def reach(self, up: bool) -> None:
        self.reached.append(up)
        self._note(f"reach {up}")

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition on the reports holds."""
        while not condition():
            await self._changed.wait()

    def payloads(self, topic: str) -> list[bytes]:
        """Return the payloads of a topic's messages, in order."""
        return [heard.payload for heard in self.messages if heard.topic == topic]


class Node:
    """A backplane that runs, and its reports."""

    def __init__(self, name: str, backplane: Backplane) -> None:
        self.name = name
        self.backplane = backplane
        self.told: Recording = Recording()

    async def want(self, *topics: str) -> None:
        """Want topics, and wait until that holds."""
        before = len(self.told.wants)
        self.backplane.want(topics)
        await self.told.until(lambda: len(self.told.wants) >= before + len(topics))


class Conformance:
    """The parts that all kinds of tests share."""

    patience: float = 60.0
    """Seconds after which a test has failed."""

    def service(self) -> AbstractAsyncContextManager[Callable[[], Backplane]]:
        """Start an empty service; yield a function that makes a backplane of it."""
        raise NotImplementedError(f"{type(self).__name__} has no service(): override it with an async context manager")

    @asynccontextmanager
    async def nodes(self, *names: str) -> AsyncIterator[list[Node]]:
        """Run a node of each name."""
        with trio.fail_after(self.patience):
            async with self.service() as make, trio.open_nursery() as nursery:
                nodes = [Node(name, make()) for name in names]
                for node in nodes:
                    await nursery.start(node.backplane.run, node.name, node.told)
                yield nodes
                nursery.cancel_scope.cancel()


class PublishConformance(Conformance):
    """Messages and topics."""

    async def test_a_message_reaches_each_other_node_that_wants_its_topic(self) -> None:
        async with self.nodes("a", "b", "c", "d") as (a, b, c, d):
            for node in (a, b, c):
                await node.want("news")
            await d.want("other")
            assert a.backplane.publish("news", b"hello")
            assert a.backplane.publish("other", b"end")
            for node in (b, c):
                await node.told.until(lambda node=node: node.told.messages)  # type: ignore[misc]
                assert node.told.messages == [("news", b"hello", "a", None)]
            await d.told.until(lambda: d.told.messages)
            assert d.told.payloads("news") == []
            assert a.told.messages == []

    async def test_messages_of_one_publisher_keep_their_order(self) -> None:
        async with self.nodes("a", "b") as (a, b):
            await b.want("numbers")
            for number in range(1_000):
                assert a.backplane.publish("numbers", str(number).encode())
            await b.told.until(lambda: len(b.told.messages) == 1_000)
            assert b.told.payloads("numbers") == [str(number).encode() for number in range(1_000)]
            assert b.told.gaps == []

    async def test_publishers_do_not_mix_their_names(self) -> None:
        async with self.nodes("a", "b", "c") as (a, b, c):
            await c.want("t")
            for _ in range(10):
                a.backplane.publish("t", b"of a")
                b.backplane.publish("t", b"of b")
            await c.told.until(lambda: len(c.told.messages) == 20)
            assert {(heard.payload, heard.sender) for heard in c.told.messages} == {(b"of a", "a"), (b"of b", "b")}

    async def test_a_topic_no_longer_wanted_is_silent(self) -> None:
        async with self.nodes("a", "b") as (a, b):
            await b.want("left", "kept")
            b.backplane.unwant(["left"])
            await b.want("barrier")
            a.backplane.publish("left", b"unheard")
            a.backplane.publish("kept", b"heard")
            await b.told.until(lambda: b.told.messages)
            assert b.told.payloads("left") == []
            assert b.told.payloads("kept") == [b"heard"]

    async def test_payloads_and_topics_arrive_as_they_are(self) -> None:
        topics = ["room:1", "a b", "ü€😀", "*", "a.>", "[x]?", "{slot}", "x" * 200]
        payloads = [b"", ALL_BYTES, b"\r\n", b"x" * 7_998, b"x" * 8_001, b"y" * 1_000_000]
        async with self.nodes("a", "b") as (a, b):
            await b.want(*topics)
            for topic in topics:
                a.backplane.publish(topic, topic.encode())
            for payload in payloads:
                assert a.backplane.publish("room:1", payload)
            await b.told.until(lambda: len(b.told.messages) == len(topics) + len(payloads))
            assert b.told.payloads("room:1") == [b"room:1", *payloads]
            assert {heard.topic: heard.payload for heard in b.told.messages[: len(topics)]} == {
                topic: topic.encode() for topic in topics
            }

    async def test_messages_follow_the_report_that_their_topic_is_wanted(self) -> None:
        async with self.nodes("a", "b") as (a, b):
            for number in range(50):
                await b.want(f"t{number}")
                a.backplane.publish(f"t{number}", b"x")
            await b.told.until(lambda: len(b.told.messages) == 50)
            for number in range(50):
                assert b.told.order.index(f"wanted t{number}") < b.told.order.index(f"message t{number}")

    async def test_nothing_is_published_before_a_backplane_runs(self) -> None:
        async with self.service() as make:
            assert not make().publish("t", b"x")

    async def test_topics_wanted_before_a_backplane_runs_are_wanted(self) -> None:
        with trio.fail_after(self.patience):
            async with self.service() as make, trio.open_nursery() as nursery:
                early, other = Node("early", make()), Node("other", make())
                early.backplane.want(["t"])
                await nursery.start(early.backplane.run, "early", early.told)
                await nursery.start(other.backplane.run, "other", other.told)
                await early.told.until(lambda: early.told.wants)
                other.backplane.publish("t", b"x")
                await early.told.until(lambda: early.told.messages)
                nursery.cancel_scope.cancel()

    async def test_a_backplane_runs_again_after_it_was_cancelled(self) -> None:
        with trio.fail_after(self.patience):
            async with self.service() as make:
                node = Node("a", make())
                for _ in range(3):
                    async with trio.open_nursery() as nursery:
                        await nursery.start(node.backplane.run, "a", node.told)
                        nursery.cancel_scope.cancel()
                    assert not node.backplane.publish("t", b"x")


class HistoryConformance(Conformance):
    """Positions, and messages that were missed."""

    async def test_kept_messages_have_positions_and_come_back(self) -> None:
        async with self.nodes("a", "b") as (a, b):
            for node in (a, b):
                await node.want("t")
            for number in range(5):
                a.backplane.publish("t", bytes([number]), keep=KEEP)
            for node in (a, b):
                await node.told.until(lambda node=node: len(node.told.messages) == 5)  # type: ignore[misc]
            assert a.told.messages == b.told.messages
            positions = [heard.position for heard in b.told.messages]
            assert [position.offset for position in positions if position] == [1, 2, 3, 4, 5]
            assert len({position.epoch for position in positions if position}) == 1

    async def test_all_nodes_hear_kept_messages_in_one_order(self) -> None:
        async with self.nodes("a", "b", "c") as nodes:
            for node in nodes:
                await node.want("t")
            for number in range(100):
                for node in nodes:
                    node.backplane.publish("t", f"{node.name}{number}".encode(), keep=KEEP)
                await trio.lowlevel.checkpoint()
            for node in nodes:
                await node.told.until(lambda node=node: len(node.told.messages) == 300)  # type: ignore[misc]
            first = nodes[0].told.messages
            assert [heard.position.offset for heard in first if heard.position] == list(range(1, 301))
            assert all(node.told.messages == first for node in nodes)

    async def test_messages_missed_are_returned_whole_or_not_at_all(self) -> None:
        async with self.nodes("a") as (a,):
            await a.want("t")
            for number in range(15):
                a.backplane.publish("t", str(number).encode(), keep=KEEP)
            await a.told.until(lambda: len(a.told.messages) == 15)
            newest = await a.backplane.newest("t")
            assert newest is not None
            assert newest == a.told.messages[-1].position
            since = a.backplane.since
            assert await since("t", newest, 10) == []
            assert await since("t", newest._replace(offset=12), 10) == [
                Kept(13, "a", b"12"), Kept(14, "a", b"13"), Kept(15, "a", b"14")
            ]  # fmt: skip
            assert len(await since("t", newest._replace(offset=5), 10) or ()) == 10
            assert await since("t", newest._replace(offset=12), 2) is None
            assert await since("t", newest._replace(offset=4), 100) is None
            assert await since("t", newest._replace(offset=16), 100) is None
            assert await since("t", newest._replace(epoch=newest.epoch ^ 1), 100) is None

    async def test_the_bytes_of_a_history_are_bounded(self) -> None:
        async with self.nodes("a") as (a,):
            await a.want("t")
            for _ in range(8):
                a.backplane.publish("t", b"x" * 4_000, keep=KEEP)
            await a.told.until(lambda: len(a.told.messages) == 8)
            newest = await a.backplane.newest("t")
            assert newest is not None
            assert len(await a.backplane.since("t", newest._replace(offset=6), 10) or ()) == 2
            assert await a.backplane.since("t", newest._replace(offset=5), 10) is None

    async def test_a_topic_is_wanted_from_a_position(self) -> None:
        async with self.nodes("a", "b") as (a, b):
            await a.want("t")
            a.backplane.publish("t", b"x", keep=KEEP)
            await a.told.until(lambda: a.told.messages)
            await b.want("t")
            assert b.told.wants == [("t", a.told.messages[0].position)]

    async def test_a_topic_has_a_position_before_its_first_message(self) -> None:
        async with self.nodes("a", "b") as (a, b):
            first = await a.backplane.newest("t")
            assert first is not None
            assert first.offset == 0
            assert await b.backplane.newest("t") == first
            assert await b.backplane.kept("t") == (first, [])
            await b.want("t")
            assert b.told.wants == [("t", first)]
            a.backplane.publish("t", b"x", keep=KEEP)
            await b.told.until(lambda: b.told.messages)
            assert b.told.messages == [("t", b"x", "a", first._replace(offset=1))]
            assert await a.backplane.since("t", first, 10) == [Kept(1, "a", b"x")]

    async def test_all_kept_messages_are_listed_with_the_newest_position(self) -> None:
        async with self.nodes("a") as (a,):
            await a.want("t")
            for number in range(15):
                a.backplane.publish("t", str(number).encode(), keep=KEEP)
            await a.told.until(lambda: len(a.told.messages) == 15)
            newest = a.told.messages[-1].position
            assert await a.backplane.kept("t") == (
                newest, [Kept(number + 1, "a", str(number).encode()) for number in range(5, 15)]
            )  # fmt: skip

    async def test_messages_that_are_not_kept_have_no_position(self) -> None:
        async with self.nodes("a", "b") as (a, b):
            await b.want("t")
            a.backplane.publish("t", b"kept", keep=KEEP)
            a.backplane.publish("t", b"not kept")
            await b.told.until(lambda: len(b.told.messages) == 2)
            assert [heard.position is None for heard in b.told.messages] == [False, True]
            newest = await b.backplane.newest("t")
            assert newest is not None
            assert newest.offset == 1


class LeaseConformance(Conformance):
    """The sole right to act for a key."""

    seconds: float = 2.0
    """The length of the leases here."""

    async def acquire(self, node: Node, key: str) -> Lease:
        """Acquire a key once nobody else has it."""
        while True:
            (got,) = await node.backplane.acquire([key], self.seconds)
            if isinstance(got, Lease):
                return got
            await trio.sleep(self.seconds / 20)

    async def test_one_node_at_a_time_holds_a_key(self) -> None:
        async with self.nodes("a", "b") as (a, b):
            lease = await self.acquire(a, "k")
            assert lease.key == "k"
            assert await b.backplane.acquire(["k"], self.seconds) == ["a"]

    async def test_a_node_that_has_not_heard_of_its_lease_gets_another(self) -> None:
        async with self.nodes("a", "b") as (a, b):
            lost = await self.acquire(a, "k")
            (lease,) = await a.backplane.acquire(["k"], self.seconds)
            assert isinstance(lease, Lease)
            assert lease.token > lost.token
            assert await a.backplane.renew([lost], self.seconds) == [None]
            await a.backplane.release([lost])
            assert await b.backplane.acquire(["k"], self.seconds) == ["a"]

    async def test_keys_are_acquired_one_by_one(self) -> None:
        async with self.nodes("a", "b") as (a, b):
            await self.acquire(a, "k1")
            first, second = await b.backplane.acquire(["k1", "k2"], self.seconds)
            assert first == "a"
            assert isinstance(second, Lease)
            assert second.key == "k2"

    async def test_a_lease_given_back_is_free_and_the_next_token_is_larger(self) -> None:
        async with self.nodes("a", "b") as (a, b):
            lease = await self.acquire(a, "k")
            await a.backplane.release([lease])
            (got,) = await b.backplane.acquire(["k"], self.seconds)
            assert isinstance(got, Lease)
            assert got.token > lease.token
            await a.backplane.release([lease])  # of a holder before: nothing happens
            assert await a.backplane.acquire(["k"], self.seconds) == ["b"]

    async def test_a_lease_that_is_not_renewed_ends(self) -> None:
        async with self.nodes("a", "b") as (a, b):
            lease = await self.acquire(a, "k")
            later = await self.acquire(b, "k")
            assert later.token > lease.token
            assert later.until > lease.until + self.seconds / 2
            assert await a.backplane.renew([lease], self.seconds) == [None]

    async def test_a_lease_that_is_renewed_goes_on(self) -> None:
        async with self.nodes("a", "b") as (a, b):
            lease = first = await self.acquire(a, "k")
            for _ in range(12):
                await trio.sleep(self.seconds / 8)
                (renewed,) = await a.backplane.renew([lease], self.seconds)
                if renewed is None:
                    return  # the machine was too slow: the lease has ended in order
                assert renewed.until > lease.until
                assert renewed.token == first.token
                lease = renewed
            assert await b.backplane.acquire(["k"], self.seconds) == ["a"]
