"""Context variables: all hooks see values of ``running()``; those of a client's hook stay with that client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import pytest
import trio
from trio.testing import MockClock

from wsframe import Client, Registry, Resource
from wsframe.resources.check_attributes import Ordering
from wsframe.testing import open_kit

around: ContextVar[str] = ContextVar("around", default="unset")
mine: ContextVar[object] = ContextVar("mine", default="unset")


class Seeing(Resource):
    def __init__(self) -> None:
        self.seen: list[object] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        around.set("running")
        self.start_soon(self.tick)
        yield

    async def tick(self) -> None:
        self.seen.append(("tick", around.get()))

    async def client_connected(self, client: Client) -> None:
        self.seen.append(("connected", around.get(), mine.get()))
        if client.request.query_string:
            mine.set(client.request.query_string)

    async def received_text(self, client: Client, message: str) -> None:
        if message == "wait":
            await trio.sleep(1)
            mine.set("waited")
            await trio.sleep(1)
        if message == "task":
            client.start_soon(self.task, client)
            return
        if message == "fail":
            mine.set("failed")
            raise ValueError
        client.send_text(f"{message} {around.get()} {mine.get()}")

    async def task(self, client: Client) -> None:
        await trio.sleep(1)
        client.send_text(f"task {around.get()} {mine.get()}")
        mine.set("task")

    async def hook_failed(self, error: BaseException, *, hook: str, client: Client | None) -> None:
        assert client is not None
        client.send_text(f"failed {mine.get()}")

    async def received_custom(self, message: object) -> None:
        self.seen.append(("custom", around.get(), mine.get()))
        mine.set(message)

    async def disconnected(self, client: Client) -> None:
        self.seen.append(("disconnected", around.get(), mine.get()))


def make(ordering: Ordering) -> Seeing:
    room = Seeing()
    room.ordering = ordering  # type: ignore[misc]
    return room


both = pytest.mark.parametrize("ordering", ["resource", "client"])


@both
async def test_a_hook_sees_what_running_and_its_own_client_have_set(
    autojump_clock: MockClock, ordering: Ordering
) -> None:
    room = make(ordering)
    async with open_kit(room) as kit:
        ann, bob, eve = await kit.connect("/?ann"), await kit.connect("/?bob"), await kit.connect()
        for _ in range(2):
            for client, name in ((ann, "ann"), (eve, "unset"), (bob, "bob"), (eve, "unset"), (ann, "ann")):
                client.send_text("hi")
                assert await client.receive_text() == f"hi running {name}"
        for client in (ann, bob, eve):
            client.close()
            await client.closed()
            await trio.testing.wait_all_tasks_blocked()
    assert room.seen[0] == ("tick", "running")
    assert room.seen[1:4] == 3 * [("connected", "running", "unset")]
    assert room.seen[4:] == [("disconnected", "running", name) for name in ("ann", "bob", "unset")]
    assert (around.get(), mine.get()) == ("unset", "unset")


@both
async def test_it_holds_across_waits_tasks_and_failures(autojump_clock: MockClock, ordering: Ordering) -> None:
    async with open_kit(make(ordering)) as kit:
        ann, bob = await kit.connect("/?ann"), await kit.connect()
        for client, name in ((ann, "ann"), (bob, "unset")):
            for message, answer in (
                ("task", f"task running {name}"),
                ("hi", f"hi running {name}"),  # a task sets its own values alone
                ("wait", "wait running waited"),
                ("hi", "hi running waited"),
                ("fail", "failed failed"),
                ("hi", "hi running failed"),
            ):
                client.send_text(message)
                assert await client.receive_text() == answer


async def test_messages_of_one_batch_do_not_mix(autojump_clock: MockClock) -> None:
    room = make("resource")
    async with open_kit(room) as kit:
        clients = [await kit.connect() for _ in range(3)]
        for client in clients:
            client.send_text("wait")
            for _ in range(3):
                client.send_text("hi")
        for client in clients:
            answers = [await client.receive_text() for _ in range(4)]
            assert answers == ["wait running waited", *3 * ["hi running waited"]]


async def test_posts_and_calls_have_a_context_together(autojump_clock: MockClock) -> None:
    room = make("resource")
    async with open_kit(room) as kit:
        ann = await kit.connect("/?ann")
        room.post("posted")
        assert await room.call(mine.get) == "posted"
        room.post("again")
        ann.send_text("hi")
        assert await ann.receive_text() == "hi running ann"
    assert ("custom", "running", "unset") in room.seen
    assert ("custom", "running", "posted") in room.seen


async def test_a_client_that_moves_gets_the_context_of_its_new_resource(autojump_clock: MockClock) -> None:
    first, second = make("resource"), make("resource")
    registry = Registry(alone=True)
    registry.register("/", first)
    registry.register("/second", second)
    async with open_kit(registry) as kit:
        ann = await kit.connect("/?ann")
        (client,) = first.clients
        assert client.move_to(second)
        await trio.testing.wait_all_tasks_blocked()
    assert ("disconnected", "running", "ann") in first.seen
    assert ("connected", "running", "unset") in second.seen
    assert ann.received() == []


class Unequal:
    def __eq__(self, other: object) -> bool:
        raise GeneratorExit

    __hash__ = None  # type: ignore[assignment]


async def test_values_that_cannot_be_compared_are_their_clients(autojump_clock: MockClock) -> None:
    class Comparing(Seeing):
        async def client_connected(self, client: Client) -> None:
            if client.request.query_string:
                mine.set(Unequal())

        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            mine.set(Unequal())
            yield

        async def received_text(self, client: Client, message: str) -> None:
            client.send_text(message)

    async with open_kit(Comparing()) as kit:
        ann, bob = await kit.connect("/?ann"), await kit.connect()
        for client in (ann, bob, ann):
            client.send_text("hi")
            assert await client.receive_text() == "hi"
