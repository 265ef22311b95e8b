"""User code that cancels tasks of wsframe, or leaves scopes in them, costs its client, request or line of the log."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

import wsframe
from tests.user_code.acts import ACTS, FEW_ACTS, FORBIDDEN_ACTS, ActingHandler, parent
from tests.user_code.breaking import Echo, around, check_well, refused
from wsframe import Client, Registry, Request, Resource, Response, define_resource, same_origin
from wsframe.http.responses import HttpHandler
from wsframe.resources.check_attributes import Ordering
from wsframe.testing import Kit, open_kit
from wsframe.user_code.locked_scope import FORBIDDEN

acting = pytest.mark.parametrize("act", ACTS)

HOOKS = [
    "client_connected", "received_text", "received_binary", "received_pong", "check_message", "task", "called",
    "key", "recipients", "dying", "after a wait", "disconnected",
]  # fmt: skip


class Dying:
    """Acts when nothing refers to it any more, but not in the task of the test."""

    def __init__(self, act: Callable[[], None], test: trio.lowlevel.Task) -> None:
        self.act = act
        self.test = test

    def __del__(self) -> None:
        if trio.lowlevel.current_task() is not self.test:
            self.act()


class Key:
    """Acts when it is compared."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        self.act()
        return True


class Acting(Echo):
    """Acts in one hook for clients with a query, and serves others."""

    def __init__(self, where: str, act: Callable[[], None]) -> None:
        self.where = where
        self.act = act
        self.errors: list[str] = []
        self.departed = 0

    def at(self, where: str, client: Client) -> None:
        if where == self.where and client.request.query_string is not None:
            self.act()

    def check_message(self, client: Client, kind: str, frame_length: int, total_length: int) -> None:
        self.at("check_message", client)

    async def client_connected(self, client: Client) -> None:
        self.at("client_connected", client)

    async def received_text(self, client: Client, message: str) -> None:
        self.at("received_text", client)
        if self.where == "after a wait":
            await trio.sleep(0.1)
            self.at("after a wait", client)
            await trio.sleep(0.1)
        if client.request.query_string is not None:
            await self.act_elsewhere(client)
        client.send_text(message)

    async def act_elsewhere(self, client: Client) -> None:
        async def task() -> None:
            self.at("task", client)
            await trio.lowlevel.checkpoint()

        def recipients() -> Iterator[Client]:
            yield client
            self.act()
            yield client

        if self.where == "task":
            client.start_soon(task)
        elif self.where == "called":
            client.start_soon(self.call, self.at, "called", client)
        elif self.where == "key":
            client.send_text("one", key=Key(self.act))
            client.send_text("two", key=Key(self.act))
        elif self.where == "recipients":
            wsframe.broadcast_text(recipients(), "one")

    async def received_binary(self, client: Client, message: bytes) -> None:
        self.at("received_binary", client)

    async def received_pong(self, client: Client, payload: bytes) -> None:
        self.at("received_pong", client)

    async def hook_failed(self, error: BaseException, *, hook: str, client: Client | None) -> None:
        self.errors.append(str(error))
        await super().hook_failed(error, hook=hook, client=client)

    async def disconnected(self, client: Client) -> None:
        self.departed += 1
        self.at("disconnected", client)


@pytest.mark.parametrize("act", FEW_ACTS)
@pytest.mark.parametrize(
    ("where", "ordering"), [*((where, "resource") for where in HOOKS), ("received_text", "client"), ("task", "client")]
)
async def test_a_hook_that_cancels_tasks_of_wsframe_costs_its_client_each_time(
    autojump_clock: MockClock, act: Callable[[], None], ordering: Ordering, where: str
) -> None:
    room = Acting(where, act)
    room.ordering = ordering  # type: ignore[misc]
    async with open_kit(around(room), "/x") as kit:
        beside = await kit.connect("/x")
        for departed in range(2):
            broken = await kit.connect("/x?broken")
            broken.send_binary(b"one")
            broken.send_frame(0xA, b"pong")
            broken.send_text("two")
            if where in ("disconnected", "dying"):
                broken.close()
            assert (await broken.closed()).code == (1000 if where in ("disconnected", "dying") else 1011)
            beside.send_text("still here")
            assert await beside.receive_text() == "still here"
            await check_well(kit)
            await check_well(kit, "/x")
            assert room.departed == 2 * (departed + 1)
        if act in FORBIDDEN_ACTS and where not in ("check_message", "dying"):
            assert room.errors == [FORBIDDEN, FORBIDDEN]
        assert kit.server.clients == 1


class Deciding(Echo):
    """Acts as it accepts clients with a query."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act

    async def accept_client(self, request: Request) -> None:
        if request.query_string is not None:
            self.act()
            await trio.sleep(0.1)


def deciding(act: Callable[[], None]) -> tuple[Registry, HttpHandler]:
    """Return a registry where each decision about a newcomer acts, and a handler that acts except for ``/page``."""

    def ask(request: Request) -> bool:
        act()
        return True

    def make(request: Request) -> Echo:
        act()
        return Echo()

    async def handler(request: Request) -> Response:
        if request.path == "/page":
            return Response("page")
        act()
        await trio.sleep(0.1)
        return Response("page")

    registry = around(Deciding(act))
    registry.register("/validator", Echo(), ask)
    registry.register_factory("/made/{name}", make)
    registry.register_dispatcher(lambda request: make(request) if request.path == "/found" else None)
    define_resource("/verified", request_verifier=ask, registry=registry)
    return registry, handler


@acting
async def test_a_decision_that_cancels_tasks_of_wsframe_costs_its_newcomer_or_request(
    autojump_clock: MockClock, act: Callable[[], None]
) -> None:
    registry, handler = deciding(act)
    async with open_kit(registry, http_handler=handler) as kit:
        for _ in range(2):
            waiting = kit.connect("/x")
            assert await refused(kit) == 500
            assert await refused(kit, "/validator") == 403
            assert await refused(kit, "/made/one") == 500
            assert await refused(kit, "/found") == 500
            assert await refused(kit, "/verified") == 500
            assert (await kit.request("/")).status == 500
            assert (await kit.request("/page")).text == "page"
            (await waiting).close()
            await check_well(kit)
            await check_well(kit, "/x")
        assert kit.server.statistics().reserved == 0


@acting
async def test_a_task_or_running_that_cancels_tasks_of_wsframe_costs_its_resource(
    autojump_clock: MockClock, act: Callable[[], None]
) -> None:
    class Ticking(Echo):
        async def tick(self) -> None:
            act()
            await trio.sleep(0.1)

        async def received_text(self, client: Client, message: str) -> None:
            self.start_soon(self.tick)

    class Opening(Echo):
        broken = False

        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            yield
            if self.broken:
                act()
                await trio.sleep(0.1)

    opening = Opening()
    registry = around(Ticking())
    registry.register("/opening", opening)
    async with open_kit(registry, "/x") as kit:
        broken = await kit.connect("/x")
        broken.send_text("go")
        assert (await broken.closed()).code == 1011
        await check_well(kit)
        opening.broken = True
        registry.unregister("/opening")
        await trio.sleep(3)
        await check_well(kit)
        await kit.connect("/x")


async def provoke_lines(kit: Kit) -> None:
    """Have lines logged in the tasks of newcomers, of the listener and of the reactor."""
    assert await refused(kit, "/nowhere") == 404
    broken = await kit.connect("/x?broken")
    broken.send_text("two")
    await broken.closed()
    gone = await kit.connect("/x")
    gone.reset()
    wrong = await kit.connect("/x")
    wrong.send_frame(0x3)
    await wrong.closed()
    await trio.sleep(0.1)


@pytest.mark.parametrize("act", FEW_ACTS)
@pytest.mark.parametrize("as_filter", [False, True])
async def test_a_handler_of_the_log_that_cancels_tasks_of_wsframe_costs_a_line(
    autojump_clock: MockClock, log: logging.Logger, act: Callable[[], None], as_filter: bool
) -> None:
    handler = ActingHandler(act)

    def filter_line(record: logging.LogRecord) -> bool:
        handler.emit(record)
        return True

    def fail() -> None:
        raise ValueError

    if as_filter:
        beside = ActingHandler(lambda: None)
        beside.addFilter(filter_line)
        log.addHandler(beside)
    else:
        log.addHandler(handler)
    async with open_kit(around(Acting("received_text", fail)), "/x") as kit:
        for _ in range(2):
            await provoke_lines(kit)
            await check_well(kit)
            await check_well(kit, "/x")
        assert kit.server.clients == 0
    assert handler.acted >= 8


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("act", FEW_ACTS)
@pytest.mark.parametrize("kept_in", ["data", "resource", "message", "cycle"])
async def test_an_object_that_cancels_tasks_of_wsframe_as_it_dies_ends_no_server(
    autojump_clock: MockClock, act: Callable[[], None], kept_in: str
) -> None:
    test = trio.lowlevel.current_task()

    class Keeping(Resource):
        kept: object = None

        async def client_connected(self, client: Client) -> None:
            if client.request.query_string is None:
                return
            if kept_in == "data":
                client.data = Dying(act, test)
            elif kept_in == "cycle":
                cycle = [Dying(act, test)]
                cycle.append(cycle)  # type: ignore[arg-type]
            else:
                self.kept = Dying(act, test)

        async def received_text(self, client: Client, message: str) -> None:
            if kept_in == "message":
                self.kept = None
            gc.collect()
            client.send_text(message)

        async def disconnected(self, client: Client) -> None:
            self.kept = None

    async with open_kit(around(Keeping()), "/x") as kit:
        for _ in range(2):
            broken = await kit.connect("/x?broken")
            broken.send_text("two")
            broken.close()
            await broken.closed()
            del broken
            await trio.sleep(0.1)
            await check_well(kit)
            await check_well(kit, "/x")


async def fail_soon() -> None:
    raise ValueError


async def test_a_task_that_a_hook_starts_in_a_nursery_of_wsframe_fails_alone_and_ends_with_it(
    autojump_clock: MockClock,
) -> None:
    tasks: list[Callable[[], Awaitable[object]]] = [fail_soon, trio.sleep_forever]

    class Starting(Echo):
        async def accept_client(self, request: Request) -> None:
            for task in tasks:
                parent().start_soon(task)

        async def received_text(self, client: Client, message: str) -> None:
            for task in tasks:
                parent().start_soon(task)
            await trio.sleep(0.1)
            client.send_text(message)

    async with open_kit(around(Starting()), "/x") as kit:
        for _ in range(2):
            await check_well(kit, "/x")
            await check_well(kit)


@pytest.mark.parametrize("left", [trio.open_nursery, trio.CancelScope])
@pytest.mark.parametrize("bound", ["hook", "cancel_on_disconnect"])
async def test_a_nursery_left_open_within_bounds_of_time_costs_its_client(
    autojump_clock: MockClock, bound: str, left: Callable[[], object]
) -> None:
    class Bounded(Echo):
        cancel_on_disconnect = bound == "cancel_on_disconnect"
        timeouts = wsframe.Timeouts(hook=5 if bound == "hook" else None)

        async def received_text(self, client: Client, message: str) -> None:
            if client.request.query_string is not None:
                if left is trio.open_nursery:
                    nursery = await trio.open_nursery().__aenter__()
                    nursery.start_soon(trio.sleep_forever)
                else:
                    trio.CancelScope().__enter__()
            client.send_text(message)

    registry = around(Bounded())
    registry.register("/y", Bounded(), same_origin)
    async with open_kit(registry, "/x") as kit:
        broken = await kit.connect("/x?broken")
        broken.send_text("go")
        assert (await broken.closed()).code == 1011
        await check_well(kit, "/x")
        await check_well(kit)
