"""Whatever user code raises or returns costs its client or its request, and nobody else anything."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

import wsframe
from tests.user_code.breaking import (
    HOOKS,
    Breaking,
    Echo,
    Evil,
    Handler,
    Panic,
    around,
    check_well,
    provoke,
    raising,
    refused,
)
from wsframe import Accept, Client, Reject, Request, Resource, Response
from wsframe.resources.check_attributes import Ordering
from wsframe.testing import open_kit


@raising
@pytest.mark.parametrize("where", HOOKS)
async def test_a_hook_that_raises_costs_its_client(
    autojump_clock: MockClock,
    where: str,
    make: Callable[[], BaseException],
) -> None:
    room = Breaking(where, make)
    async with open_kit(around(room), "/x") as kit:
        beside = await kit.connect("/x")
        broken = await provoke(kit, "/x?broken", where)
        assert (await broken.closed()).code == (1000 if where == "disconnected" else 1011)
        beside.send_text("still here")
        assert await beside.receive_text() == "still here"
        await check_well(kit)
        await check_well(kit, "/x")
        await trio.testing.wait_all_tasks_blocked()
        assert room.departed == ["broken", None]
        assert list(room.clients) == [client for client in kit.server.list_clients() if client.resource is room]
        assert kit.server.clients == 1


@raising
@pytest.mark.parametrize("ordering", ["resource", "client"])
async def test_hooks_that_raise_cost_their_client_in_either_ordering(
    autojump_clock: MockClock,
    make: Callable[[], BaseException],
    ordering: Ordering,
) -> None:
    room = Breaking("received_text", make)
    room.ordering = ordering  # type: ignore[misc]
    async with open_kit(around(room), "/x") as kit:
        broken = await kit.connect("/x?broken")
        broken.send_text("one")
        assert (await broken.closed()).code == 1011
        await check_well(kit, "/x")


@raising
async def test_a_decision_about_a_newcomer_that_raises_costs_this_newcomer(
    autojump_clock: MockClock,
    make: Callable[[], BaseException],
) -> None:
    def raise_it(request: Request) -> bool:
        raise make()

    def factory(request: Request) -> Resource:
        raise make()

    registry = around(Breaking("accept_client", make))
    registry.register("/origin", Echo(), raise_it)
    registry.register_factory("/made/{name}", factory)
    registry.register_dispatcher(lambda request: factory(request) if request.path == "/found" else None)
    async with open_kit(registry) as kit:
        assert await refused(kit) == 500
        assert await refused(kit, "/origin") == 403
        assert await refused(kit, "/made/one") == 500
        assert await refused(kit, "/found") == 500
        await check_well(kit)
        statistics = kit.server.statistics()
        assert (statistics.clients, statistics.reserved, statistics.pending_handshakes) == (0, 0, 0)


@raising
async def test_an_http_handler_that_raises_costs_its_request(
    autojump_clock: MockClock,
    make: Callable[[], BaseException],
) -> None:
    async def handler(request: Request) -> Response:
        if request.path == "/page":
            return Response("page")
        raise make()

    async with open_kit(around(Echo()), http_handler=handler) as kit:
        assert (await kit.request("/")).status == 500
        assert (await kit.request("/page")).text == "page"
        await check_well(kit)


def wrong(decision: str) -> object:
    """Return a value that accept_client must not return, or raise as its making does."""
    if decision == "changed":
        reject = Reject(401)
        reject.body = b"no"  # type: ignore[assignment]
        return reject
    if decision == "fields":
        accept = Accept()
        accept.headers = 5  # type: ignore[assignment]
        return accept
    if decision == "framing":
        accept = Accept()
        accept.headers.append(("Transfer-Encoding", "chunked"))
        return accept
    made: dict[str, Callable[[], object]] = {
        "body": lambda: Reject(401, body=b"no"),  # type: ignore[arg-type]
        "status": lambda: Reject(401.0),  # type: ignore[arg-type]
        "evil": Evil,
        "class": lambda: Reject,
        "hop": lambda: Accept(headers={"Sec-WebSocket-Accept": "x"}),
    }
    return made[decision]()


@pytest.mark.parametrize("raised", [False, True])
async def test_a_reject_of_client_connected_that_cannot_be_sent_is_an_error_of_the_hook(
    autojump_clock: MockClock, raised: bool
) -> None:
    class Deciding(Echo):
        async def client_connected(self, client: Client) -> None:
            if client.request.query_string is None:
                return None
            if raised:
                raise wrong("changed")  # type: ignore[misc]
            return wrong("changed")  # type: ignore[return-value]

    async with open_kit(around(Deciding()), "/x") as kit:
        broken = await kit.connect("/x?broken")
        assert (await broken.closed()).code == 1011
        await check_well(kit, "/x")


@pytest.mark.parametrize("decision", ["changed", "fields", "framing", "body", "status", "evil", "class", "hop"])
@pytest.mark.parametrize("way", ["accept_client", "http_handler", "factory"])
async def test_a_wrong_answer_is_500_and_one_line(
    autojump_clock: MockClock,
    decision: str,
    way: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Deciding(Resource):
        async def accept_client(self, request: Request) -> None:
            return wrong(decision)  # type: ignore[return-value]

    async def handler(request: Request) -> Response:
        made = wrong(decision)
        if isinstance(made, Reject):
            raise made
        return made  # type: ignore[return-value]

    def factory(request: Request) -> Resource:
        made = wrong(decision)
        if isinstance(made, Reject):
            raise made
        return made  # type: ignore[return-value]

    registry = around(Deciding())
    registry.register_factory("/made/{name}", factory)
    async with open_kit(registry, http_handler=handler) as kit:
        if way == "http_handler":
            assert (await kit.request("/")).status == 500
        else:
            assert await refused(kit, "/x" if way == "accept_client" else "/made/one") == 500
        await check_well(kit)
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    shown = decision != "evil" or way == "http_handler"  # the log cannot show an object that cannot be printed
    assert len(errors) == (1 if shown else 0)


class Key:
    """Hashes like all its kind, and raises when it is compared."""

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        raise Panic


@pytest.mark.parametrize("way", ["key", "clients", "exclude"])
async def test_what_a_send_asks_user_code_for_costs_its_client(autojump_clock: MockClock, way: str) -> None:
    def some(client: Client) -> Iterator[Client]:
        yield client
        raise Panic

    class Sending(Echo):
        async def received_text(self, client: Client, message: str) -> None:
            if client.request.query_string is None:
                client.send_text(message)
            elif way == "key":
                client.send_text("one", key=Key())
                client.send_text("two", key=Key())
            elif way == "clients":
                wsframe.broadcast_text(some(client), "one")
            else:
                self.broadcast_text("one", exclude=some(client))  # type: ignore[arg-type]

    async with open_kit(around(Sending()), "/x") as kit:
        broken = await kit.connect("/x?broken")
        broken.send_text("go")
        assert (await broken.closed()).code == 1011
        await check_well(kit, "/x")


@raising
async def test_a_task_of_a_resource_that_raises_costs_the_clients_of_this_resource(
    autojump_clock: MockClock,
    make: Callable[[], BaseException],
) -> None:
    class Ticking(Echo):
        async def tick(self) -> None:
            raise make()

        async def received_text(self, client: Client, message: str) -> None:
            self.start_soon(self.tick)

    async with open_kit(around(Ticking()), "/x") as kit:
        broken = await kit.connect("/x")
        broken.send_text("go")
        assert (await broken.closed()).code == 1011
        await check_well(kit)
        await trio.sleep(2)
        await kit.connect("/x")


@raising
@pytest.mark.parametrize("at", ["entering", "leaving"])
async def test_a_running_that_raises_later_costs_its_resource(
    autojump_clock: MockClock,
    make: Callable[[], BaseException],
    at: str,
) -> None:
    class Opening(Echo):
        broken = False

        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            if self.broken and at == "entering":
                raise make()
            yield
            if self.broken:
                raise make()

    room = Opening()
    registry = around(room)
    async with open_kit(registry) as kit:
        await check_well(kit, "/x")
        room.broken = True
        registry.unregister("/x")
        registry.register("/x", room)
        await trio.testing.wait_all_tasks_blocked()
        await check_well(kit)


async def test_no_client_stays_when_logging_its_end_raises(autojump_clock: MockClock, log: logging.Logger) -> None:
    handler = Handler("closed 1006", Panic())
    log.addHandler(handler)
    room = Breaking("", Panic)
    async with open_kit(around(room), "/x") as kit:
        client = await kit.connect("/x?gone")
        client.reset()
        await trio.testing.wait_all_tasks_blocked()
        assert (handler.raised, room.departed, kit.server.clients) == (1, ["gone"], 0)


async def test_a_stranger_whose_refusal_cannot_be_logged_is_refused(
    autojump_clock: MockClock,
    log: logging.Logger,
) -> None:
    handler = Handler("refused", Panic())
    log.addHandler(handler)
    async with open_kit(around(Echo())) as kit:
        assert await refused(kit, "/nowhere") == 404
        assert handler.raised == 1
        await check_well(kit)
