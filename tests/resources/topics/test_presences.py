"""The members of a topic, over all servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.resources.lossy import Lossy
from wsframe import Member
from wsframe.backplane import MemoryBackplane, MemoryHub
from wsframe.backplane.presence import HEARTBEAT, HOLD, LINGER, SILENCE
from wsframe.resources.topics.topic import Receiver
from wsframe.resources.topics.topics import Topics
from wsframe.testing import Kit, open_kit


class Room(wsframe.Resource):
    """``+NAME`` enters, ``-`` leaves, ``?`` lists; the rest is told."""

    scope = "shared"

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        if message == "?":
            client.send_text(" ".join(sorted(member.key for member in await self.presence("room"))))
        elif message == "-":
            self.unsubscribe(client, "room")
        else:
            self.subscribe(client, "room", member=Member(message[1:], {"loud": message[1:].isupper()}))

    async def joined(self, topic: str, member: Member) -> None:
        self.broadcast_text(f"joined {topic} {member.key} {member.info['loud']}")

    async def left(self, topic: str, member: Member) -> None:
        self.broadcast_text(f"left {member.key}")


@asynccontextmanager
async def two_servers() -> AsyncIterator[tuple[Kit, Kit]]:
    hub = MemoryHub()
    one, two = MemoryBackplane(hub), MemoryBackplane(hub)
    async with open_kit(Room(), backplane=one) as first, open_kit(Room(), backplane=two) as second:
        yield first, second


async def entered(kit: Kit, name: str) -> Any:
    client = await kit.connect()
    client.send_text(f"+{name}")
    assert await client.receive() == f"joined room {name} {name.isupper()}"
    await wait_all_tasks_blocked()
    return client


def topics_of(kit: Kit) -> Topics:
    topics: Topics = kit.server._internals.topics  # type: ignore[attr-defined]
    return topics


async def test_members_of_all_servers_are_listed_and_told(autojump_clock: MockClock) -> None:
    async with two_servers() as (one, two):
        a, b = await entered(one, "ann"), await entered(two, "BOB")
        assert await a.receive() == "joined room BOB True"
        for client in (a, b):
            client.send_text("?")
            assert await client.receive() == "BOB ann"
        b.send_text("-")
        assert await a.receive() == "left BOB"
        assert await one.server.presence("room") == [Member("ann", {"loud": False})]


async def test_a_connection_that_is_lost_lingers(autojump_clock: MockClock) -> None:
    async with two_servers() as (one, two):
        a, b = await entered(one, "ann"), await entered(two, "bob")
        assert await a.receive() == "joined room bob False"
        b.close()
        await trio.sleep(LINGER - 2)
        again = await one.connect()
        again.send_text("+bob")
        await trio.sleep(60)
        again.send_text("?")
        assert await again.receive() == "ann bob"
        again.close()
        before = trio.current_time()
        assert await a.receive() == "left bob"
        assert LINGER - 1 <= trio.current_time() - before <= LINGER + 2


async def test_the_members_of_a_server_that_is_cut_off_leave_and_come_back(autojump_clock: MockClock) -> None:
    hub = MemoryHub()
    one, two = Lossy(hub), Lossy(hub)
    async with open_kit(Room(), backplane=one) as first, open_kit(Room(), backplane=two) as second:
        a, b = await entered(first, "ann"), await entered(second, "bob")
        assert await a.receive() == "joined room bob False"
        one.losing = two.losing = True
        cut_at = trio.current_time()
        assert [await a.receive(), await b.receive()] == ["left bob", "left ann"]
        assert 30 <= trio.current_time() - cut_at <= 39
        await trio.sleep(SILENCE)
        one.losing = two.losing = False
        assert [await a.receive(), await b.receive()] == ["joined room bob False", "joined room ann False"]
        assert await first.server.presence("room") != []


async def test_a_server_that_has_not_followed_a_topic_asks_for_its_members(autojump_clock: MockClock) -> None:
    async with two_servers() as (one, two):
        await entered(one, "ann")
        assert [member.key for member in await two.server.presence("room")] == ["ann"]
        assert await two.server.presence("empty") == []
        await trio.sleep(5 * LINGER)
        assert topics_of(two).presences._sheets == {}
        assert list(topics_of(one).presences._sheets) == ["room"]


async def test_a_server_alone_has_its_own_members(autojump_clock: MockClock) -> None:
    async with open_kit(Room()) as kit:
        a = await entered(kit, "ann")
        await entered(kit, "bob")
        assert await a.receive() == "joined room bob False"
        before = trio.current_time()
        assert [member.key for member in await kit.server.presence("room")] == ["ann", "bob"]
        assert trio.current_time() == before


async def test_a_client_is_a_member_once_and_leaves_with_its_topic(autojump_clock: MockClock) -> None:
    room = Room()
    async with open_kit(room) as kit:
        a = await entered(kit, "ann")
        a.send_text("+other")  # it keeps its info
        await wait_all_tasks_blocked()
        assert [member.key for member in await kit.server.presence("room")] == ["ann"]
        a.send_text("-")
        a.send_text("-")
        await wait_all_tasks_blocked()
        assert await kit.server.presence("room") == []
        assert topics_of(kit).presences._members_of == {}


async def test_a_new_server_is_told_of_nobody_who_was_there(autojump_clock: MockClock) -> None:
    hub = MemoryHub()
    async with open_kit(Room(), backplane=MemoryBackplane(hub)) as one:
        a = await entered(one, "ann")
        async with open_kit(Room(), backplane=MemoryBackplane(hub)) as two:
            b = await entered(two, "bob")
            assert await a.receive() == "joined room bob False"
            await trio.sleep(2 * HEARTBEAT)
            b.send_text("?")
            assert await b.receive() == "ann bob"
        assert await a.receive() == "left bob"


@pytest.mark.parametrize(
    ("member", "error"),
    [
        ("ann", TypeError), (Member(7), TypeError), (Member("x", object()), TypeError),  # type: ignore[arg-type]
        (Member("x", float("nan")), ValueError), (Member("\ud800"), ValueError),
    ],
)  # fmt: skip
async def test_members_are_checked(member: Any, error: type[Exception]) -> None:
    class Wrong(wsframe.Resource):
        async def client_connected(self, client: wsframe.Client) -> None:
            with pytest.raises(error):
                self.subscribe(client, "t", member=member)
            client.send_text(str(len(await self.server.presence("t"))))

    async with open_kit(Wrong()) as kit:
        assert await (await kit.connect()).receive() == "0"


async def test_a_malformed_message_about_members_is_dropped(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    hub = MemoryHub()
    async with open_kit(Room(), backplane=MemoryBackplane(hub)) as kit:
        await entered(kit, "ann")
        other = Topics(MemoryBackplane(hub))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.run)
            await wait_all_tasks_blocked()
            nested = b"[" * 100_000
            for text in (
                b"{", b"[]", b'{"t": "j"}', b'{"t": "w", "v": 1, "m": []}', nested, b'{"t": "w", "v": 1e999, "m": {}}',
                b"\xff", b"7", b'{"t": []}', b'{"t": "w", "v": 1, "m": {}, "l": 7}',
            ):  # fmt: skip
                other.forward("wsframe: presence of room", 1, text, None, None)
                await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert [member.key for member in await kit.server.presence("room")] == ["ann"]
    assert "a message about members is dropped" in caplog.text


async def test_receivers_learn_who_joins_and_leaves(autojump_clock: MockClock) -> None:
    class Recorder(Receiver):
        def joined(self, topic: str, member: Member) -> None:
            events.append(f"+{member.key}")

        def left(self, topic: str, member: Member) -> None:
            events.append(f"-{member.key}")

    events: list[str] = []
    async with two_servers() as (one, two):
        topics, far = topics_of(one), topics_of(two)
        topics.listen("t", Recorder())
        topics.presences.follow("t")
        await trio.sleep(HOLD)
        far.presences.enter("t", Member("ann"))
        far.presences.enter("t", Member("ann"))
        far.presences.leave("t", "ann")
        topics.presences.enter("t", Member("bob"))
        topics.presences.leave("t", "bob", at_once=True)
        await wait_all_tasks_blocked()
        assert events == ["+bob", "-bob", "+ann"]
        far.presences.leave("t", "ann")
        await trio.sleep(LINGER + 2)
        assert events == ["+bob", "-bob", "+ann", "-ann"]


async def test_servers_that_are_replaced_one_by_one_announce_nobody(autojump_clock: MockClock) -> None:
    hub, rooms, names = MemoryHub(), [Noting() for _ in range(5)], ["ann", "bob", "cleo"]
    ends = [trio.Event() for _ in rooms]

    async def serve(number: int, task_status: trio.TaskStatus[Kit]) -> None:
        async with open_kit(rooms[number], backplane=MemoryBackplane(hub)) as kit:
            task_status.started(kit)
            await ends[number].wait()

    async with trio.open_nursery() as nursery:
        await entering(await nursery.start(serve, 0), ["watcher"])
        clients = await entering(await nursery.start(serve, 1), names)
        await trio.sleep(30)
        for room in rooms:
            room.noted.clear()
        for number in range(2, len(rooms)):
            kit = await nursery.start(serve, number)
            for client in clients:
                client.close()
            await wait_all_tasks_blocked()
            ends[number - 1].set()
            clients = await entering(kit, names)
            await trio.sleep(30)
        assert [room.noted for room in rooms] == [[]] * len(rooms)
        for client in clients:
            client.close()
        await trio.sleep(LINGER + 2)
        assert sorted(rooms[0].noted) == ["left ann", "left bob", "left cleo"]
        for end in ends:
            end.set()


class Noting(Room):
    """Notes all that it is told."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def broadcast_text(self, message: Any, *args: Any, **options: Any) -> Any:
        self.noted.append(str(message).replace(" room", "").removesuffix(" False"))
        return super().broadcast_text(message, *args, **options)


async def entering(kit: Kit, names: list[str]) -> list[Any]:
    clients = [await kit.connect() for _ in names]
    for name, client in zip(names, clients, strict=True):
        client.send_text(f"+{name}")
    await wait_all_tasks_blocked()
    return clients
