"""Clients that come back get all that they missed, or learn that it is lost."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.local_server import local_server_of
from tests.resources.history_feed import Feed, position_of, subscribed, topics_of, two_servers
from tests.resources.lossy import Lossy, forget
from wsframe.backplane import MemoryBackplane, MemoryHub
from wsframe.resources.topics.recovery import PATIENCE
from wsframe.testing import open_kit


async def test_the_position_is_known_before_the_first_message(autojump_clock: MockClock) -> None:
    async with two_servers() as (one, two):
        a, b = await one.connect(), await two.connect()
        a.send_text("?t")
        missed, position = await position_of(a)
        assert missed == "lost"
        assert position.endswith(" 0")
        a.send_text("t 1")
        assert await a.receive() == "1"
        b.send_text(f"?t {position}")
        assert await position_of(b) == ("1", position[:-1] + "1")


async def test_a_client_that_comes_back_gets_all_that_it_missed_and_each_message_once(
    autojump_clock: MockClock,
) -> None:
    async with two_servers() as (one, two):
        a, b = await subscribed(one, "t"), await two.connect()
        b.send_text("?t")
        _, position = await position_of(b)
        epoch = position.split()[0]
        b.send_text("-t")
        assert await b.receive() == "-t"
        for number in range(1, 4):
            a.send_text(f"t {number}")
            await a.receive()
        b.send_text(f"?t {position}")
        assert await position_of(b) == ("1 2 3", f"{epoch} 3")
        a.send_text("t 4")
        assert await b.receive() == "4"
        b.send_text(f"?t {epoch} 4")  # nothing missed
        assert await position_of(b) == ("", f"{epoch} 4")
        for since in (f"{epoch} 5", f"{int(epoch) ^ 1} 4"):
            b.send_text(f"?t {since}")
            assert await position_of(b) == ("lost", f"{epoch} 4")
        for number in range(5, 11):
            a.send_text(f"t {number}")
            assert await b.receive() == str(number)
        b.send_text(f"?t {epoch} 4")  # six messages ago, of which five are kept
        assert await position_of(b) == ("lost", f"{epoch} 10")


@pytest.mark.parametrize("number", [-1, 1 << 63, 1 << 70, 1.5, "1", None, float("nan")])
@pytest.mark.parametrize("field", ["epoch", "offset"])
async def test_a_position_that_cannot_be_one_is_not_asked_for(
    autojump_clock: MockClock, field: str, number: Any
) -> None:
    plane = Lossy(MemoryHub())
    async with open_kit(Feed(), backplane=plane) as kit:
        server = kit.server
        a = await subscribed(kit, "t")
        a.send_text("t 1")
        assert await a.receive() == "1"
        newest = await server.newest("t")
        assert newest is not None
        wrong = newest._replace(**{field: number})
        assert await server.since("t", wrong) is None
        (client,) = next(iter(local_server_of(server).list_clients())).resource.clients
        assert await server.resume(client, "t", wrong) == (newest, None)
        assert "since" not in plane.asked


async def test_a_client_resumes_although_a_hook_holds_the_topic(autojump_clock: MockClock) -> None:
    hub = MemoryHub()
    plane = Lossy(hub)

    class Slow(Feed):
        async def resync(self, topic: str) -> None:
            client = next(iter(self.clients))
            recovery = await self.server.resume(client, topic)
            client.send_text(f"resync {recovery.position is not None}")

    async with open_kit(Feed(), backplane=MemoryBackplane(hub)) as one, open_kit(Slow(), backplane=plane) as two:
        a, b = await subscribed(one), await subscribed(two, "t")
        a.send_text("t 1")
        assert await b.receive() == "1"
        forget(hub)
        a.send_text("t 2")
        assert await b.receive() == "resync True"
        a.send_text("t 3")
        assert await b.receive() == "3"


async def test_an_engine_that_is_away_lets_nobody_wait_for_ever(autojump_clock: MockClock) -> None:
    plane = Lossy(MemoryHub())
    async with open_kit(Feed(), backplane=plane) as kit:
        plane.away = True
        a = await kit.connect()
        before = trio.current_time()
        a.send_text("?t")
        assert await position_of(a) == ("lost", "unknown")
        assert trio.current_time() - before <= PATIENCE + 0.1
        assert await kit.server.newest("t") is None
        plane.away = False
        a.send_text("t 1")
        assert await a.receive() == "1"


async def test_nothing_is_left_of_topics_that_were_only_asked_about(autojump_clock: MockClock) -> None:
    async with open_kit(Feed()) as kit:
        a = await kit.connect()
        a.send_text("?t")
        await position_of(a)
        a.send_text("-t")
        assert await a.receive() == "-t"
        a.close()
        await trio.sleep(60)
        assert topics_of(kit)._topics == {}
