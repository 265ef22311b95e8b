"""Newcomers that are let in without a task are answered as all others are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.hostile.place import Recorder
from tests.server.test_admission import REFUSALS
from tests.wire import TEXT, frame, upgrade
from wsframe import Capacity, Reject, Request, any_origin, origin_exact, same_origin
from wsframe.server.newcomers.decide import decide
from wsframe.testing import Kit, open_kit

Lines = Callable[[], list[str]]


class Tasks(trio.abc.Instrument):
    """Counts the tasks that are spawned."""

    def __init__(self) -> None:
        self.spawned = 0

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        self.spawned += 1


async def answers(kit: Kit, *pieces: bytes) -> bytes:
    """Send a request in pieces, the first before it is accepted, and return the bytes that come."""
    line = kit.dial()
    for piece in pieces:
        line.send_bytes(piece)
        await wait_all_tasks_blocked()
    found = await line.receive_bytes()
    line.reset()
    await wait_all_tasks_blocked()
    return found


async def spawned_for(kit: Kit, data: bytes) -> int:
    """Return how many tasks a request takes that is here when it is accepted."""
    tasks = Tasks()
    trio.lowlevel.add_instrument(tasks)
    try:
        line = kit.dial()
        line.send_bytes(data)
        await wait_all_tasks_blocked()
    finally:
        trio.lowlevel.remove_instrument(tasks)
    line.reset()
    await wait_all_tasks_blocked()
    return tasks.spawned


def plain_registry(resource: wsframe.Resource, origins: wsframe.OriginValidator = any_origin) -> wsframe.Registry:
    registry = wsframe.Registry(alone=True)
    registry.register("/", resource, origins)
    return registry


@pytest.mark.parametrize("asks", [False, True])
async def test_a_late_request_is_decided_about_only_where_user_code_does(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, *, asks: bool
) -> None:
    class Asking(Recorder):
        async def accept_client(self, request: Request) -> None:
            """Let everybody in."""

    decided: list[Request] = []

    async def noted(
        accept_client: Callable[[Request], Awaitable[object]], request: Request, resource: wsframe.Resource
    ) -> wsframe.Accept:
        decided.append(request)
        return await decide(accept_client, request, resource)

    monkeypatch.setattr("wsframe.server.admission.decide", noted)
    async with open_kit(plain_registry(Asking() if asks else Recorder())) as kit:
        assert b" 101 " in await answers(kit, upgrade()[:10], upgrade()[10:])
    assert len(decided) == asks


@pytest.mark.parametrize("origins", [any_origin, same_origin, origin_exact("http://localhost", missing=True)])
async def test_a_request_that_is_here_needs_no_task(
    autojump_clock: MockClock, origins: wsframe.OriginValidator
) -> None:
    room = Recorder()
    async with open_kit(plain_registry(room, origins)) as kit:
        # The line has one of its own, and so has the request that is not let in at once.
        by_task = await spawned_for(kit, upgrade("/nowhere"))
        at_once = await spawned_for(kit, upgrade() + frame(TEXT, "early"))
        assert at_once == by_task - 1
        assert room.log[:2] == ["+", "early"]


async def test_user_code_about_a_newcomer_runs_in_a_task_of_its_own(autojump_clock: MockClock) -> None:
    tasks: list[object] = []

    def validator(request: Request) -> bool:
        tasks.append(trio.lowlevel.current_task())
        return True

    class Noting(Recorder):
        async def accept_client(self, request: Request) -> None:
            tasks.append(trio.lowlevel.current_task())

    async with open_kit(plain_registry(Noting(), validator)) as kit:
        assert (await answers(kit, upgrade())).startswith(b"HTTP/1.1 101 ")
        assert (await answers(kit, upgrade())).startswith(b"HTTP/1.1 101 ")
    assert tasks[0] is tasks[1] is not tasks[2] is tasks[3]


async def test_a_variable_of_one_newcomer_is_not_set_for_the_next(autojump_clock: MockClock) -> None:
    seen: list[int] = []
    variable: ContextVar[int] = ContextVar("variable", default=0)

    def validator(request: Request) -> bool:
        seen.append(variable.get())
        variable.set(1)
        return True

    async with open_kit(plain_registry(Recorder(), validator)) as kit:
        for _ in range(2):
            await answers(kit, upgrade())
    assert seen == [0, 0]


@pytest.mark.parametrize("data", [data for data, _, _ in REFUSALS.values()], ids=REFUSALS)
async def test_a_refusal_is_the_same_at_once_and_in_pieces(
    autojump_clock: MockClock, info: Lines, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    for module in ("answering", "decide"):
        monkeypatch.setattr(f"wsframe.server.newcomers.{module}.time", lambda: 784111777.5)
    async with open_kit(Recorder()) as kit:
        at_once = await answers(kit, data)
        in_pieces = await answers(kit, data[:3], data[3:])  # three bytes name TLS
        assert at_once.startswith(b"HTTP/1.1 4")
        assert at_once == in_pieces
        one, other = info()
        assert one.partition(": ")[2] == other.partition(": ")[2]
        statistics = kit.server.statistics()
        assert (statistics.refused, statistics.reserved, statistics.pending_handshakes) == (2, 0, 0)


async def test_a_newcomer_without_a_place_is_refused_at_once_as_well(autojump_clock: MockClock) -> None:
    room = Recorder()
    for capacity, status in ((Capacity(max_clients=1), b"503"), (Capacity(max_clients_per_address=1), b"429")):
        async with open_kit(room, capacity=capacity) as kit:
            await kit.connect()
            assert (await answers(kit, upgrade()))[9:12] == status
            assert kit.server.statistics().reserved == 1
    assert room.log.count("+") == 2


async def test_an_attribute_that_raises_costs_only_the_newcomer(autojump_clock: MockClock) -> None:
    class Broken(Recorder):
        broken = False

        @property
        def subprotocols(self) -> list[str]:  # type: ignore[override]
            if self.broken:
                raise RuntimeError("made on purpose")
            return []

    room = Broken()
    async with open_kit(room) as kit:
        room.broken = True
        assert (await answers(kit, upgrade(sec_websocket_protocol="chat"))).startswith(b"HTTP/1.1 500 ")
        assert kit.server.statistics().reserved == 0
        room.broken = False
        assert (await answers(kit, upgrade())).startswith(b"HTTP/1.1 101 ")


async def test_dispatchers_and_factories_are_asked_in_a_task(autojump_clock: MockClock) -> None:
    room = Recorder()
    tasks: list[object] = []

    def find(request: Request) -> wsframe.Resource | None:
        tasks.append(trio.lowlevel.current_task())
        if request.path == "/no":
            raise Reject(403)
        return room

    for way in ("dispatcher", "factory"):
        registry = wsframe.Registry(alone=True)
        if way == "dispatcher":
            registry.register_dispatcher(find, any_origin)
        else:
            registry.register_factory("/{name}", find, any_origin)
        async with open_kit(registry) as kit:
            assert (await answers(kit, upgrade("/yes"))).startswith(b"HTTP/1.1 101 ")
            assert (await answers(kit, upgrade("/no"))).startswith(b"HTTP/1.1 403 ")
    assert len(set(map(id, tasks))) == 4
