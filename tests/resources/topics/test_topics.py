"""Topics: the receivers of each message, on one server and on several."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from wsframe.backplane import MemoryBackplane, MemoryHub
from wsframe.backplane.sequence import MOST_HELD, TailState
from wsframe.protocol.frames import TEXT
from wsframe.resources.topics.interest import LINGER
from wsframe.resources.topics.publication import OWN, wrap_publication
from wsframe.resources.topics.topics import Topics
from wsframe.testing import Kit, open_kit


class Room(wsframe.Resource):
    """``+TOPIC`` subscribes the client, ``-TOPIC`` unsubscribes it; anything else is ``TOPIC MESSAGE``."""

    scope = "shared"

    def __init__(self) -> None:
        self.holes: list[str] = []
        self.hold: trio.Event | None = None

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        if message.startswith("+"):
            assert self.subscribe(client, message[1:])
            client.send_text(message)
        elif message.startswith("-"):
            self.unsubscribe(client, message[1:])
            client.send_text(message)
        else:
            self.publish_text(*message.split(" ", 1))

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        self.publish_binary("binary", message, exclude=client)

    async def missed(self, topic: str) -> None:
        if self.hold is not None:
            await self.hold.wait()
        self.holes.append(topic)
        self.broadcast_text(f"missed {topic}")


async def subscribed(kit: Kit, *topics: str, path: str = "/") -> Any:
    client = await kit.connect(path)
    for topic in topics:
        client.send_text("+" + topic)
        assert await client.receive() == "+" + topic
    return client


async def test_subscribers_get_the_messages_of_their_topics() -> None:
    async with open_kit(Room()) as kit:
        a, b, c = await subscribed(kit, "x", "y"), await subscribed(kit, "y"), await subscribed(kit)
        c.send_text("x 1")
        c.send_text("y 2")
        c.send_text("z 3")
        assert [await a.receive(), await a.receive(), await b.receive()] == ["1", "2", "2"]
        b.send_text("-y")
        assert await b.receive() == "-y"
        c.send_text("y 4")
        assert await a.receive() == "4"
        c.send_text("+z")
        assert await c.receive() == "+z"  # and none of its own messages
        await wait_all_tasks_blocked()


async def test_a_topic_in_the_place_of_the_client_is_an_error_and_not_a_client_that_has_left() -> None:
    room: Any = Room()
    async with open_kit(room):
        with pytest.raises(TypeError, match="a topic is a str, not Room"):
            room.subscribe("news", room)
        assert not room.subscribe(room, "news")


async def test_topics_belong_to_the_server() -> None:
    registry = wsframe.Registry()
    registry.register("/a", Room())
    registry.register("/b", Room())
    async with open_kit(registry) as kit:
        a, b = await subscribed(kit, "t", path="/a"), await subscribed(kit, path="/b")
        b.send_text("t hello")
        assert await a.receive() == "hello"
        kit.server.publish_text("t", "of the server")
        assert await a.receive() == "of the server"
        kit.server.publish_binary("t", b"\0")
        assert await a.receive() == b"\0"


async def test_publishing_tells_how_many_it_was_queued_for() -> None:
    room = Room()
    async with open_kit(room) as kit:
        a, b = await subscribed(kit, "t"), await subscribed(kit, "t")
        first, second = room.clients
        assert room.publish_text("t", "x") == (2, 0)
        assert room.publish_text("t", "x", exclude=first) == (1, 0)
        assert room.publish_binary("t", b"x", exclude=[first, second]) == (0, 0)
        assert room.publish_text("nobody", "x") == (0, 0)
        a.close()
        b.close()


async def test_a_client_leaves_its_topics_before_disconnected() -> None:
    class Leaving(Room):
        async def disconnected(self, client: wsframe.Client) -> None:
            counts.append(self.publish_text("t", "gone").queued)
            assert not self.subscribe(client, "t")

    counts: list[int] = []
    async with open_kit(Leaving()) as kit:
        a, b = await subscribed(kit, "t", "u"), await subscribed(kit, "t")
        a.close()
        assert await b.receive() == "gone"
        b.close()
        await wait_all_tasks_blocked()
    assert counts == [1, 0]


async def test_a_client_leaves_its_topics_when_it_moves() -> None:
    registry = wsframe.Registry()
    room, other = Room(), Room()
    registry.register("/room", room)
    registry.register("/other", other)
    async with open_kit(registry) as kit:
        a = await subscribed(kit, "t", path="/room")
        (client,) = room.clients
        assert client.move_to(other)
        await wait_all_tasks_blocked()
        assert room.publish_text("t", "x") == (0, 0)
        a.send_text("+t")
        assert await a.receive() == "+t"
        assert room.publish_text("t", "x") == (1, 0)


async def test_nothing_is_left_of_clients_that_have_gone() -> None:
    topics = Topics()
    async with open_kit(Room()) as kit:
        internals: Any = kit.server._internals
        topics = internals.topics
        for _ in range(3):
            client = await subscribed(kit, "a", "b")
            client.send_text("-a")
            client.close()
        await wait_all_tasks_blocked()
        assert (topics._topics, topics._topics_of) == ({}, {})


@pytest.mark.parametrize(
    ("topic", "error"),
    [("", ValueError), ("ü" * 128, ValueError), ("\ud800", ValueError), (b"t", TypeError), (None, TypeError)],
)
async def test_names_of_topics_are_checked(topic: Any, error: type[Exception]) -> None:
    room = Room()
    async with open_kit(room) as kit:
        await kit.connect()
        await wait_all_tasks_blocked()
        (client,) = room.clients
        for use in (
            lambda: room.subscribe(client, topic),
            lambda: room.unsubscribe(client, topic),
            lambda: room.publish_text(topic, "x"),
            lambda: room.publish_binary(topic, b"x"),
        ):
            with pytest.raises(error):
                use()


async def test_keys_of_published_messages_are_strings_or_numbers() -> None:
    room = Room()
    async with open_kit(room):
        room.publish_text("t", "x", key="k")
        room.publish_text("t", "x", key=1)
        key: Any = ("a", 1)
        with pytest.raises(TypeError, match="key of a published message is a str, an int or None, not tuple"):
            room.publish_text("t", "x", key=key)


async def test_a_resource_that_is_not_served_has_no_topics() -> None:
    with pytest.raises(RuntimeError, match="Room is not being served"):
        Room().publish_text("t", "x")


# Several servers


@asynccontextmanager
async def two_servers(hub: MemoryHub, **rooms: Room) -> AsyncIterator[tuple[Kit, Kit]]:
    async with (
        open_kit(rooms.get("first", Room()), backplane=MemoryBackplane(hub)) as one,
        open_kit(rooms.get("second", Room()), backplane=MemoryBackplane(hub)) as two,
    ):
        yield one, two


async def test_a_message_reaches_the_subscribers_of_other_servers() -> None:
    async with two_servers(MemoryHub()) as (one, two):
        a, b = await subscribed(one, "t"), await subscribed(two, "t")
        c = await subscribed(two, "binary")
        a.send_text("t hello")
        assert await a.receive() == "hello"
        assert await b.receive() == "hello"
        b.send_text("t back")
        assert await a.receive() == "back"
        assert await b.receive() == "back"
        a.send_binary(bytes(range(256)))
        assert await c.receive() == bytes(range(256))
        one.server.publish_text("t", "from the server")
        assert await b.receive() == "from the server"


async def test_options_travel_with_a_message() -> None:
    room, other = Room(), Room()
    async with two_servers(MemoryHub(), first=room, second=other) as (_, two):
        client = await two.connect(buffer=1)
        client.send_text("+t")
        await client.receive()
        for number in range(100):
            room.publish_text("t", str(number).ljust(2_000), key="price")
        await wait_all_tasks_blocked()
        got = [(await client.receive()).strip()]
        while got[-1] != "99":
            got.append((await client.receive()).strip())
        assert len(got) < 100


async def test_a_topic_is_let_go_some_time_after_its_last_subscriber(autojump_clock: MockClock) -> None:
    hub = MemoryHub()
    async with two_servers(hub) as (one, _):
        a = await subscribed(one, "t")
        interest = hub.open()._members._interest

        def wanted() -> list[str]:
            return [topic for topic in interest if not topic.startswith(OWN)]

        assert wanted() == ["t"]
        a.send_text("-t")
        assert await a.receive() == "-t"
        await trio.sleep(LINGER / 2)
        assert wanted() == ["t"]
        a.send_text("+t")
        assert await a.receive() == "+t"
        await trio.sleep(2 * LINGER)
        assert wanted() == ["t"]
        a.send_text("-t")
        assert await a.receive() == "-t"
        await trio.sleep(1.5 * LINGER)
        assert wanted() == []


async def test_a_gap_is_told_before_the_next_message_of_its_topic() -> None:
    room = Room()
    async with open_kit(room, backplane=MemoryBackplane(MemoryHub())) as kit:
        topics: Topics = kit.server._internals.topics  # type: ignore[attr-defined]
        a = await subscribed(kit, "t", "u")
        topics.gap("t")
        topics.message("t", wrap_publication(TEXT, b"t after", None, None), "other", None)
        topics.message("u", wrap_publication(TEXT, b"u after", None, None), "other", None)
        assert [await a.receive() for _ in range(3)] == ["u after", "missed t", "t after"]
        topics.gap("nobody subscribed")
        topics.gap(None)
        assert {await a.receive(), await a.receive()} == {"missed t", "missed u"}
        assert room.holes == ["t", "t", "u"]


async def test_each_resource_with_subscribers_is_told_of_a_gap() -> None:
    registry, rooms = wsframe.Registry(), [Room(), Room(), Room()]
    for number, room in enumerate(rooms):
        registry.register(f"/{number}", room)
    rooms[1].hold = trio.Event()
    async with open_kit(registry, backplane=MemoryBackplane(MemoryHub())) as kit:
        topics: Topics = kit.server._internals.topics  # type: ignore[attr-defined]
        a, b = await subscribed(kit, "t", path="/0"), await subscribed(kit, "t", path="/1")
        await subscribed(kit, "u", path="/2")
        topics.gap("t")
        topics.message("t", wrap_publication(TEXT, b"after", None, None), "other", None)
        assert await a.receive() == "missed t"
        await wait_all_tasks_blocked()
        rooms[1].hold.set()
        assert [await b.receive(), await b.receive(), await a.receive()] == ["missed t", "after", "after"]
        assert [room.holes for room in rooms] == [["t"], ["t"], []]


async def test_messages_that_wait_for_a_hook_are_bounded() -> None:
    room = Room()
    room.hold = trio.Event()
    async with open_kit(room, backplane=MemoryBackplane(MemoryHub())) as kit:
        topics: Topics = kit.server._internals.topics  # type: ignore[attr-defined]
        a = await subscribed(kit, "t")
        topics.gap("t")
        for number in range(MOST_HELD + 1):
            topics.message("t", wrap_publication(TEXT, str(number).encode(), None, None), "other", None)
        room.hold.set()
        got = [await a.receive() for _ in range(MOST_HELD + 2)]
        assert got[0] == got[-1] == "missed t"
        assert got[1:-1] == [str(number) for number in range(MOST_HELD)]
        assert topics._topics["t"].tail.state is TailState.OPEN


async def test_a_hook_that_raises_or_ends_holds_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Room):
        async def missed(self, topic: str) -> None:
            raise ValueError("no")

    async with open_kit(Failing(), backplane=MemoryBackplane(MemoryHub())) as kit:
        topics: Topics = kit.server._internals.topics  # type: ignore[attr-defined]
        a = await subscribed(kit, "t")
        topics.gap("t")
        topics.message("t", wrap_publication(TEXT, b"after", None, None), "other", None)
        assert await a.receive() == "after"
    assert "missed of Failing failed" in caplog.text


async def test_the_default_hook_logs(caplog: pytest.LogCaptureFixture) -> None:
    class Plain(wsframe.Resource):
        async def client_connected(self, client: wsframe.Client) -> None:
            self.subscribe(client, "t")

    async with open_kit(Plain(), backplane=MemoryBackplane(MemoryHub())) as kit:
        await kit.connect()
        await wait_all_tasks_blocked()
        kit.server._internals.topics.gap("t")  # type: ignore[attr-defined]
        await wait_all_tasks_blocked()
    assert "Plain has missed messages of topic 't'" in caplog.text


@pytest.mark.parametrize(
    "payload", [b"", b"\x02t\0\0\0\0x", b"\x01?\0\0\0\0x", b"\x01t\xff\0\0\0x", b"\x01t\x02\0\0\0{]x"]
)
async def test_a_message_that_cannot_be_read_is_a_gap(payload: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with open_kit(Room(), backplane=MemoryBackplane(MemoryHub())) as kit:
        a = await subscribed(kit, "t")
        kit.server._internals.topics.message("t", payload, "other", None)  # type: ignore[attr-defined]
        assert await a.receive() == "missed t"
    assert "a message of another server is dropped" in caplog.text


async def test_a_backplane_that_cannot_take_a_message_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Full(MemoryBackplane):
        def publish(self, *args: Any, **kwargs: Any) -> bool:
            return False

    room = Room()
    async with open_kit(room, backplane=Full(MemoryHub())) as kit:
        a = await subscribed(kit, "t")
        room.publish_text("t", "x")
        assert await a.receive() == "x"
    assert "a message of 't' stays on this server" in caplog.text


async def test_messages_of_a_time_without_other_servers_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """A ticker that begins before the relay is reached, and goes on while it is away, does not fill the log."""

    class Away(MemoryBackplane):
        def publish(self, *args: Any, **kwargs: Any) -> bool:
            return False

    caplog.set_level(logging.INFO)
    topics = Topics(Away(MemoryHub()))
    for reports in ([], [True], [False, False], [True, False]):
        for up in reports:
            topics.reach(up)
        for _ in range(3):
            topics.publish_text("t", "x")
    assert [(one.levelname, one.message) for one in caplog.records if "message" in one.message] == [
        ("INFO", "messages stay on this server until the other servers or workers are reached; the first is of 't'"),
        *3
        * [("WARNING", "a message of 't' stays on this server: too many wait for the backplane, or it is too large")],
        *2
        * [
            (
                "WARNING",
                "messages stay on this server until the other servers or workers are reached; the first is of 't'",
            )
        ],
    ]


async def test_reaching_other_servers_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with open_kit(Room(), backplane=MemoryBackplane(MemoryHub())):
        await wait_all_tasks_blocked()
    assert "the other servers or workers can be reached" in caplog.text


@pytest.mark.parametrize("backplane", [b"redis://localhost", MemoryBackplane, object()])
async def test_a_backplane_that_is_none_is_a_type_error(backplane: Any) -> None:
    with pytest.raises(TypeError, match=r"backplane is a wsframe\.backplane\.Backplane"):
        async with open_kit(Room(), backplane=backplane):
            pass
