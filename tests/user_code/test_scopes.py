"""A nursery or scope that user code leaves open costs its client or its request."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from tests.user_code.breaking import (
    Echo,
    Panic,
    around,
    check_well,
    refused,
)
from wsframe import Client, Request, Response, define_resource, same_origin
from wsframe.resources.check_attributes import Ordering
from wsframe.testing import open_kit
from wsframe.user_code.errors import LEFT_OPEN


async def ticks() -> AsyncGenerator[int, None]:
    """An async generator that yields inside a nursery, which trio forbids."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        yield 1


async def leave_nursery() -> None:
    manager = trio.open_nursery()
    nursery = await manager.__aenter__()
    nursery.start_soon(trio.sleep_forever)


async def leave_failing_nursery() -> None:
    async def fail() -> None:
        raise ValueError

    manager = trio.open_nursery()
    nursery = await manager.__aenter__()
    nursery.start_soon(fail)
    await trio.sleep(1)


async def leave_scope() -> None:
    trio.CancelScope().__enter__()


async def leave_both() -> None:
    trio.move_on_after(1).__enter__()
    await leave_nursery()
    trio.CancelScope(shield=True).__enter__()


async def leave_and_raise() -> None:
    await leave_nursery()
    raise Panic


async def leave_generator() -> None:
    KEPT.append(generator := ticks())
    async for _ in generator:
        break


async def leave_cancelled() -> None:
    trio.CancelScope().__enter__().cancel()
    await trio.sleep(1)


KEPT: list[AsyncGenerator[int, None]] = []


async def close_kept() -> None:
    """Close a scope that still stands in a nursery that was closed without it."""
    while KEPT:
        with pytest.raises((RuntimeError, AttributeError)):
            await KEPT.pop().aclose()


leaving = pytest.mark.parametrize(
    "leave",
    [
        leave_nursery, leave_failing_nursery, leave_scope, leave_both, leave_and_raise, leave_generator,
        leave_cancelled,
    ],
)  # fmt: skip

Leave = Callable[[], Awaitable[None]]


class Leaving(Echo):
    def __init__(self, where: str, leave: Leave) -> None:
        self.where = where
        self.leave = leave
        self.departed = 0
        self.errors: list[str] = []
        self.life: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.life.append("begun")
        yield
        self.life.append("ended")

    async def at(self, where: str, request: Request) -> None:
        if where == self.where and request.query_string is not None:
            await self.leave()

    async def accept_client(self, request: Request) -> None:
        await self.at("accept_client", request)

    async def client_connected(self, client: Client) -> None:
        await self.at("client_connected", client.request)

    async def received_text(self, client: Client, message: str) -> None:
        if self.where == "task":
            client.start_soon(self.at, "task", client.request)
        await self.at("received_text", client.request)
        await super().received_text(client, message)

    async def hook_failed(self, error: BaseException, *, hook: str, client: Client | None) -> None:
        self.errors.append(str(error))
        await super().hook_failed(error, hook=hook, client=client)

    async def disconnected(self, client: Client) -> None:
        self.departed += 1
        await self.at("disconnected", client.request)


@leaving
@pytest.mark.parametrize("ordering", ["resource", "client"])
@pytest.mark.parametrize("where", ["client_connected", "received_text", "task", "disconnected"])
async def test_a_nursery_or_scope_left_open_costs_the_client_of_the_hook(
    autojump_clock: MockClock,
    leave: Leave,
    ordering: Ordering,
    where: str,
) -> None:
    room = Leaving(where, leave)
    room.ordering = ordering  # type: ignore[misc]
    async with open_kit(around(room), "/x") as kit:
        beside = await kit.connect("/x")
        broken = await kit.connect("/x?broken")
        broken.send_text("go")
        if where == "disconnected":
            broken.close()
        assert (await broken.closed()).code == (1000 if where == "disconnected" else 1011)
        beside.send_text("still here")
        assert await beside.receive_text() == "still here"
        await trio.sleep(5)
        await close_kept()
        await check_well(kit)
        await check_well(kit, "/x")
        assert room.errors == [str(Panic()) if leave is leave_and_raise else LEFT_OPEN]
        assert len(room.clients) == 1
    assert room.departed == 3


@leaving
async def test_a_nursery_or_scope_left_open_costs_its_newcomer_or_request(
    autojump_clock: MockClock,
    leave: Leave,
) -> None:
    async def handler(request: Request) -> Response:
        await leave()
        return Response("page")

    async with open_kit(around(Leaving("accept_client", leave)), http_handler=handler) as kit:
        assert await refused(kit) == 500
        assert (await kit.request("/")).status == 500
        await close_kept()
        await trio.sleep(5)
        await check_well(kit)
        await check_well(kit, "/x")
        assert kit.server.statistics().reserved == 0


@pytest.mark.parametrize("cancelled", [False, True])
@pytest.mark.parametrize("where", ["validator", "factory", "dispatcher", "verifier", "check_message"])
async def test_a_scope_that_a_plain_function_leaves_open_costs_its_newcomer_or_client(
    autojump_clock: MockClock, where: str, cancelled: bool
) -> None:
    """Cancelled, it would end the newcomer without an answer, or the task that reads all clients."""

    def leave() -> None:
        scope = trio.CancelScope().__enter__()
        if cancelled:
            scope.cancel()

    class Checking(Echo):
        def check_message(self, *args: object) -> None:
            leave()

    def ask(request: Request) -> bool:
        leave()
        return True

    def make(request: Request) -> Echo:
        leave()
        return Echo()

    registry = around(Echo())
    if where == "factory":
        registry.register_factory("/broken", make)
    elif where == "dispatcher":
        registry.register_dispatcher(make)
    elif where == "verifier":
        define_resource("/broken", request_verifier=ask, registry=registry)
    else:
        registry.register("/broken", Checking(), ask if where == "validator" else same_origin)
    async with open_kit(registry, "/x") as kit:
        if where == "check_message":
            broken = await kit.connect("/broken")
            broken.send_text("go")
            assert (await broken.closed()).code == 1011
        else:
            assert await refused(kit, "/broken") == (403 if where == "validator" else 500)
        await check_well(kit)
        await check_well(kit, "/x")


async def test_a_running_that_leaves_a_nursery_open_costs_its_resource(autojump_clock: MockClock) -> None:
    class Opening(Echo):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            yield
            await leave_nursery()

    room = Opening()
    registry = around(room)
    async with open_kit(registry) as kit:
        await check_well(kit, "/x")
        registry.unregister("/x")
        await trio.testing.wait_all_tasks_blocked()
        await check_well(kit)


@leaving
async def test_messages_behind_a_hook_that_leaves_a_nursery_open_are_all_served_in_order_and_running_goes_on(
    autojump_clock: MockClock, leave: Leave
) -> None:
    """The listener is as good as one that was started again: it has its mailbox, and each client its messages."""
    room = Leaving("received_text", leave)
    async with open_kit(around(room), "/x") as kit:
        others = [await kit.connect("/x") for _ in range(3)]
        for turn in range(3):
            broken = await kit.connect("/x?broken")
            for number in range(5):
                for client in (*others, broken):
                    client.send_text(f"{turn} {number}")
            assert (await broken.closed()).code == 1011
            for client in others:
                assert [await client.receive_text() for _ in range(5)] == [f"{turn} {number}" for number in range(5)]
        await close_kept()
        assert len(room.errors) == 3
        await check_well(kit, "/x")
        assert room.life == ["begun"]
    assert room.life == ["begun", "ended"]
