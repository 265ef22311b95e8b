"""Clients that come back at once share the answers of the engine, and nobody gets a part for the whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.local_server import local_server_of
from tests.resources.lossy import Lossy, forget
from wsframe.backplane import History, MemoryBackplane, MemoryHub, Position
from wsframe.resources.topics.recovery import Histories, Inquiries, Inquiry, Recovery
from wsframe.resources.topics.topic import Receiver
from wsframe.testing import Kit, open_kit

KEEP = History(messages=20)


class Served:
    """A server that is asked for missed messages, and another that publishes."""

    def __init__(self, kit: Kit, far: Kit, hub: MemoryHub, plane: Lossy, first: Position) -> None:
        self.hub = hub
        self.plane = plane
        self.histories: Histories = local_server_of(kit.server).topics.histories
        self.kit = kit
        self.far = far
        self.first = first
        self.answers: dict[int, Recovery] = {}

    async def publish(self, *texts: str) -> None:
        for text in texts:
            self.far.server.publish_text("t", text, history=KEEP)
        await wait_all_tasks_blocked()

    async def resume(self, number: int, offset: int, limit: int = 100) -> None:
        """Note the answer for a position under a number."""
        self.answers[number] = await self.histories.resume("t", self.first._replace(offset=offset), limit)

    def texts(self, number: int) -> list[str] | None:
        missed = self.answers[number].publications
        return None if missed is None else [str(one.message) for one in missed]

    def outcomes(self) -> dict[tuple[str, ...], object]:
        return dict(self.kit.server.statistics().metrics["wsframe_history_recoveries_total"])


@asynccontextmanager
async def served(texts: int) -> AsyncIterator[Served]:
    hub = MemoryHub()
    plane = Lossy(hub)
    async with (
        open_kit(wsframe.Resource(), backplane=plane) as kit,
        open_kit(wsframe.Resource(), backplane=MemoryBackplane(hub)) as far,
    ):
        topics = local_server_of(kit.server).topics
        first = (await topics.histories.resume("t")).position
        assert first is not None
        topics.listen("t", Receiver())
        made = Served(kit, far, hub, plane, first)
        await made.publish(*map(str, range(1, texts + 1)))
        plane.asked.clear()
        plane.slow = 1.0
        yield made


async def test_clients_that_come_back_at_once_share_one_question(autojump_clock: MockClock) -> None:
    async with served(10) as one:
        async with trio.open_nursery() as nursery:
            for number in range(1_000):
                nursery.start_soon(one.resume, number, 4)
        assert one.plane.asked == ["since"]
        assert all(one.texts(number) == ["5", "6", "7", "8", "9", "10"] for number in range(1_000))
        assert one.outcomes() == {("whole",): 1_000, ("refused",): 0}


async def test_a_later_position_has_its_part_of_the_answer_for_an_earlier_one(autojump_clock: MockClock) -> None:
    async with served(10) as one:
        async with trio.open_nursery() as nursery:
            for number in (6, 7, 9, 10, 5, 4, 3, 2):
                nursery.start_soon(one.resume, number, number)
                await wait_all_tasks_blocked()
        assert one.plane.asked == ["since", "since"]  # for 6, and for 2 and all between
        for number in (6, 7, 9, 10, 5, 4, 3, 2):
            assert one.texts(number) == [str(text) for text in range(number + 1, 11)]


async def test_clients_at_many_positions_ask_a_few_times(autojump_clock: MockClock) -> None:
    async with served(20) as one:
        async with trio.open_nursery() as nursery:
            for number in range(1_000):
                nursery.start_soon(one.resume, number, 19 - number % 19)
        assert one.plane.asked.count("since") <= 3
        for number in range(1_000):
            assert one.texts(number) == [str(text) for text in range(20 - number % 19, 21)]


async def test_messages_that_come_while_the_engine_is_asked_are_in_each_answer(autojump_clock: MockClock) -> None:
    async with served(10) as one:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.resume, 1, 8)
            await wait_all_tasks_blocked()
            await one.publish("11")
            nursery.start_soon(one.resume, 2, 8)  # the answer was made before 11, which has come before this one
            await wait_all_tasks_blocked()
            await one.publish("12")
        assert one.plane.asked == ["since"]
        assert one.texts(1) == one.texts(2) == ["9", "10", "11", "12"]


async def test_a_client_that_leaves_while_it_asks_for_others_costs_them_nothing(autojump_clock: MockClock) -> None:
    async with served(10) as one:
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(0.5):
                async with trio.open_nursery() as short:
                    short.start_soon(one.resume, 0, 8)
                    await wait_all_tasks_blocked()
                    for number in (1, 2):
                        nursery.start_soon(one.resume, number, 8)
        assert one.plane.asked == ["since", "since"]
        assert sorted(one.answers) == [1, 2]
        assert one.texts(1) == one.texts(2) == ["9", "10"]


async def test_a_position_that_is_too_old_spoils_no_other(autojump_clock: MockClock) -> None:
    async with served(50) as one:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.resume, 1, 2)
            await wait_all_tasks_blocked()
            for number in range(48, 40, -1):
                nursery.start_soon(one.resume, number, number)
        assert one.texts(1) is None
        for number in range(41, 49):
            assert one.texts(number) == [str(text) for text in range(number + 1, 51)]
        assert one.outcomes() == {("whole",): 8, ("refused",): 1}


async def test_more_messages_than_the_client_takes_are_refused_and_not_fetched_again(
    autojump_clock: MockClock,
) -> None:
    async with served(10) as one:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.resume, 1, 2, 7)
            nursery.start_soon(one.resume, 2, 3, 7)
        assert one.texts(1) is None
        assert one.texts(2) == ["4", "5", "6", "7", "8", "9", "10"]
        assert one.plane.asked.count("since") == 2


async def test_a_client_that_was_further_on_another_server_is_not_sent_back(autojump_clock: MockClock) -> None:
    async with served(10) as one:
        one.plane.losing = True
        await one.publish("11", "12")
        one.plane.losing = False
        await one.resume(1, 11)
        assert one.texts(1) == ["12"]
        position = one.answers[1].position
        assert position is not None
        assert position.offset == 12


async def test_a_position_before_its_time_is_refused(autojump_clock: MockClock) -> None:
    async with served(10) as one:
        await one.resume(1, 11)
        assert one.texts(1) is None
        assert one.answers[1].position == one.first._replace(offset=10)


async def test_nothing_is_left_of_questions(autojump_clock: MockClock) -> None:
    async with served(10) as one:
        await one.resume(1, 8)
        one.plane.away = True
        await one.resume(2, 8)
        assert one.answers[2].position is None
        assert one.histories._inquiries == {}
        topic = local_server_of(one.kit.server).topics.interest.topics["t"]
        assert len(topic.receivers) == 1
        assert one.outcomes() == {("whole",): 1, ("refused",): 0}


async def test_clients_that_come_while_a_topic_is_filled_all_wait_for_it(autojump_clock: MockClock) -> None:
    async with served(10) as one:
        one.plane.losing = True
        await one.publish("11", "12")
        one.plane.losing = False
        await one.publish("13")  # the server asks for the messages it has missed
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(one.resume, number, 9)
        assert all(one.texts(number) == ["10", "11", "12", "13"] for number in range(5))


def test_a_question_that_a_client_asks_for_its_own_position_does_not_grow() -> None:
    inquiries = Inquiries()
    asked = Inquiry(Position(1, 10), 100, exact=False)
    inquiries.list.append(asked)
    assert inquiries.chosen(Position(1, 10), 100, shared=False) is asked
    earlier = inquiries.chosen(Position(1, 5), 100, shared=True)
    assert earlier is not asked
    assert (asked.since, earlier.since) == (Position(1, 10), Position(1, 5))


async def test_messages_that_a_resync_passes_over_are_asked_for_again(autojump_clock: MockClock) -> None:
    """The engine has begun again, and this server learns it while it asks for a client that knows it already."""
    async with served(10) as one:
        one.plane.losing = True
        forget(one.hub)
        await one.publish("a", "b", "c")
        newest = await one.plane.newest("t")
        assert newest is not None
        one.first = newest
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.resume, 1, 1)
            await wait_all_tasks_blocked()
            one.plane.losing = False
            await one.publish("d")  # not in the answer; this server asks where it is, and goes on after it
        assert one.texts(1) == ["b", "c", "d"]


async def test_an_engine_that_has_begun_again_is_told_with_the_refusal(autojump_clock: MockClock) -> None:
    """Else the client would go on at the end of a history that is gone, and be told again a moment later."""
    async with served(10) as one:
        forget(one.hub)
        await one.resume(1, 9)
        newest = await one.plane.newest("t")
        assert newest is not None
        assert newest.epoch != one.first.epoch
        assert one.answers[1] == Recovery(newest, None)
