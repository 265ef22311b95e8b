"""At the loss of a lease all user code of a life ends, wherever it runs, but for the goodbye."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

import wsframe
from tests.server.owners import Cuttable
from wsframe import Client, Request, Resource
from wsframe.backplane import MemoryHub
from wsframe.testing import Kit, Refused, open_kit

LEASE = 5.0
GOODBYE = 2.0


class Diary(Resource):
    """Notes each act with its time, and takes long to say goodbye."""

    def __init__(self) -> None:
        self.acts: list[tuple[float, str]] = []
        self.late: list[str] = []

    def act(self, name: str) -> None:
        self.acts.append((trio.current_time(), name))
        if self.ownership.lost:
            self.late.append(name)

    async def tick(self, name: str) -> None:
        while True:
            self.act(name)
            await trio.sleep(0.1)

    async def received_text(self, client: Client, message: str) -> None:
        self.act("hook")

    async def disconnected(self, client: Client) -> None:
        await trio.sleep(GOODBYE)
        self.act("goodbye")


class OwnNursery(Diary):
    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.tick, "task of its own nursery")
            yield
            self.act("exit")
            await trio.lowlevel.checkpoint()
            self.act("after the exit has waited")


class Nested(Diary):
    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as outer, trio.open_nursery() as inner:
            outer.start_soon(self.deeper)
            inner.start_soon(self.tick, "inner")
            yield
            outer.cancel_scope.cancel()
            inner.cancel_scope.cancel()

    async def deeper(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.tick, "deeper")


class Starting(Diary):
    """Is still in the first half of ``running()`` when its lease is lost."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.tick, "task before the yield")
            await trio.sleep(1000)
            yield


class PerClient(OwnNursery):
    ordering = "client"


class Asking(Diary):
    async def accept_client(self, request: Request) -> bool:
        await self.tick("accept_client")
        return True


class BetweenHooks(Diary):
    async def received_text(self, client: Client, message: str) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.tick, "task of a hook's nursery")


async def lose(resource: Diary, use: Callable[[Kit], Awaitable[object]]) -> Kit:
    """Serve a resource, have it act, and cut the server off until its lease is over."""
    plane = Cuttable(MemoryHub())
    async with open_kit(resource, backplane=plane) as kit, trio.open_nursery() as nursery:
        nursery.start_soon(use, kit)
        await trio.sleep(3)
        assert resource.acts
        plane.cut()
        await trio.sleep(LEASE + GOODBYE + 1)
        nursery.cancel_scope.cancel()
    return kit


async def connect(kit: Kit) -> None:
    with trio.move_on_after(1000):
        client = await kit.connect(patience=1000)
        client.send_text("hello")
        await client.receive()


@pytest.mark.parametrize("kind", [OwnNursery, Nested, PerClient, BetweenHooks])
async def test_invariant_8_no_task_of_a_life_acts_after_its_lease(kind: type[Diary], autojump_clock: MockClock) -> None:
    resource = kind()

    async def use(kit: Kit) -> None:
        with pytest.raises(wsframe.testing.ClientClosed):
            await connect(kit)

    await lose(resource, use)
    assert sum(name not in ("goodbye", "exit") for _, name in resource.acts) > 10
    assert resource.late == ["goodbye", *(["exit"] if issubclass(kind, OwnNursery) else [])]


async def test_running_is_left_after_the_goodbyes_and_waits_no_more(autojump_clock: MockClock) -> None:
    events: list[str] = []

    class Careful(Diary):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            self.act("begin")
            try:
                yield
            finally:
                events.extend(name for _, name in self.acts)
                events.append("exit")
                await trio.lowlevel.checkpoint()
                events.append("after the exit has waited")

    async def use(kit: Kit) -> None:
        with pytest.raises(wsframe.testing.ClientClosed):
            await connect(kit)

    await lose(Careful(), use)
    assert events == ["begin", "hook", "goodbye", "exit"]


async def test_invariant_8_running_that_still_begins_is_cancelled(autojump_clock: MockClock) -> None:
    resource = Starting()

    async def use(kit: Kit) -> None:
        await trio.sleep_forever()

    with trio.move_on_after(60):
        plane = Cuttable(MemoryHub())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_cut, resource, plane)
            await trio.sleep(3)
            assert resource.acts
            plane.cut()
            await trio.sleep(LEASE + 1)
            nursery.cancel_scope.cancel()
    assert resource.late == []


async def serve_cut(resource: Diary, plane: Cuttable) -> None:
    async with open_kit(resource, backplane=plane):
        await trio.sleep_forever()


async def test_invariant_8_accept_client_is_cancelled_and_the_newcomer_refused(autojump_clock: MockClock) -> None:
    resource, refusals = Asking(), list[int]()

    async def use(kit: Kit) -> None:
        with pytest.raises(Refused) as caught:
            await kit.connect(patience=1000)
        refusals.append(caught.value.status)

    await lose(resource, use)
    assert len(resource.acts) > 10
    assert resource.late == []
    assert refusals == [503]
