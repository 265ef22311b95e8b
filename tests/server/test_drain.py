"""A drain: readiness fails, the lame duck passes, newcomers finish, clients leave, the rest is cut off."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.hostile.place import Recorder
from tests.wire import upgrade
from wsframe import Client, Request, Timeouts, readyz
from wsframe.limits import DEFAULT_TIMEOUTS, filled
from wsframe.server.drain import Drain
from wsframe.testing import MemoryClient, open_kit
from wsframe.testing.raw_client import Line

Lines = Callable[[], list[str]]


class Door(Recorder):
    """Lets in ``/`` at once, and others when the gate opens."""

    async def accept_client(self, request: Request) -> None:
        if request.query_string:
            self.note("asked")
            await self.gate.wait()


async def drained(client: MemoryClient) -> float:
    """Wait until a client has been closed by a drain; return the time."""
    assert (await client.closed()).code == 1001
    return trio.current_time()


async def test_everything_but_readiness_goes_on_during_the_lame_duck(autojump_clock: MockClock) -> None:
    resource = Recorder()
    async with open_kit(resource, timeouts=Timeouts(lame_duck=5), http_handler=readyz) as kit:
        first = await kit.connect()
        assert (await kit.request("/readyz")).status == 200
        kit.server.close()
        answer = await kit.request("/readyz")
        assert (answer.status, answer.body) == (503, b"server stopping\n")
        await trio.sleep(4.5)
        second = await kit.connect()
        for client in (first, second):
            client.send_text("hello")
            assert await client.receive() == "hello"
        assert trio.current_time() < 5
        assert [await drained(client) for client in (first, second)] == [pytest.approx(5, abs=0.1)] * 2
        await kit.server.closed()


async def test_a_later_order_brings_the_drain_forward_and_keeps_the_code(autojump_clock: MockClock) -> None:
    async with open_kit(Recorder(), timeouts=Timeouts(lame_duck=60)) as kit:
        client = await kit.connect()
        kit.server.close(4001)
        kit.server.close(4002, lame_duck=600)
        await trio.sleep(1)
        kit.server.close(4003, lame_duck=2)
        assert (await client.closed()).code == 4001
        assert trio.current_time() == pytest.approx(3, abs=0.1)


async def test_the_first_order_can_name_its_lame_duck(autojump_clock: MockClock) -> None:
    async with open_kit(Recorder(), timeouts=Timeouts(lame_duck=60)) as kit:
        client = await kit.connect()
        kit.server.close(1012, lame_duck=0)
        assert (await client.closed()).code == 1012
        await kit.server.closed()
        assert trio.current_time() < 1


async def test_cancellation_waits_for_no_lame_duck(autojump_clock: MockClock) -> None:
    resource = Recorder()
    with trio.CancelScope() as scope:
        async with open_kit(resource, timeouts=Timeouts(lame_duck=600)) as kit:
            await kit.connect()
            scope.cancel()
            await trio.sleep_forever()
    assert trio.current_time() == pytest.approx(5, abs=0.1), "for the close frame, which the client does not answer"
    assert resource.log == ["+", "-1006"]


async def test_an_order_while_resources_start_ends_at_once(autojump_clock: MockClock) -> None:
    class Slow(Recorder):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            assert self.server is not None
            self.server.close()
            await trio.sleep(10_000)
            yield

    async with open_kit(Slow(), timeouts=Timeouts(lame_duck=600)):
        pass
    assert trio.current_time() < 1


async def test_hurry_in_the_lame_duck_still_tells_clients_why(autojump_clock: MockClock) -> None:
    """The second Ctrl-C of somebody who does not want to wait for the lame duck."""
    resource = Recorder()
    async with open_kit(resource, timeouts=Timeouts(lame_duck=600)) as kit:
        client = await kit.connect()
        kit.server.close()
        await trio.sleep(1)
        kit.server.hurry()
        assert (await client.closed(), client.end) == ((1001, "server stopping"), "reset")
        await kit.server.closed()
        assert trio.current_time() < 2
        assert resource.log == ["+", "-1006"]


async def test_an_exit_in_the_lame_duck_keeps_its_status_and_the_lame_duck_its_time(autojump_clock: MockClock) -> None:
    class Leaving(Recorder):
        async def received_text(self, client: Client, message: str) -> None:
            raise SystemExit(int(message))

    with pytest.raises(SystemExit) as info:  # noqa: PT012
        async with open_kit(Leaving(), timeouts=Timeouts(lame_duck=5)) as kit:
            client, other = await kit.connect(), await kit.connect()
            client.send_text("7")
            await trio.sleep(2)
            assert kit.server.unready() == "server stopping"
            other.send_text("8")
            assert await drained(other) == pytest.approx(5, abs=0.1)
            await kit.server.closed()
    assert info.value.code == 7


async def test_few_clients_are_told_in_one_step(autojump_clock: MockClock) -> None:
    resource = Recorder()
    async with open_kit(resource) as kit:
        clients = [await kit.connect() for _ in range(100)]
        kit.server.close()
        await kit.server.closed()
        assert trio.current_time() < 0.5, "the drain is an upper bound"
        assert [(await client.closed()).code for client in clients] == [1001] * 100
        assert resource.log[100:] == ["-1001"] * 100


async def test_many_clients_leave_in_batches_and_the_others_are_served(autojump_clock: MockClock) -> None:
    resource, times = Recorder(), []
    async with open_kit(resource, timeouts=Timeouts(drain=8)) as kit, trio.open_nursery() as nursery:
        clients = [await kit.connect() for _ in range(150)]

        async def note(client: MemoryClient) -> None:
            times.append(await drained(client))

        for client in clients:
            nursery.start_soon(note, client)
        await wait_all_tasks_blocked()
        kit.server.close()
        await trio.sleep(3)
        staying = [client for client in clients if client.end is None]
        assert 0 < len(staying) < 150
        staying[0].send_text("still here")
        assert await staying[0].receive() == "still here"
        await kit.server.closed()
    assert len({round(time, 6) for time in times}) >= 20
    assert max(times) <= 0.75 * 8, "which leaves time for the last goodbyes"
    assert resource.log.count("-1001") == 150


async def test_many_clients_that_leave_by_themselves_are_not_waited_for(autojump_clock: MockClock) -> None:
    async with open_kit(Recorder(), timeouts=Timeouts(drain=600)) as kit:
        clients = [await kit.connect() for _ in range(150)]
        kit.server.close()
        for client in clients:
            client.reset()
        await kit.server.closed()
        assert trio.current_time() < 60, "one batch's share of the time"


async def newcomer(line: Line, resource: Door) -> None:
    """Ask for a place and wait until the resource decides about it."""
    asked = resource.log.count("asked")
    line.send_bytes(upgrade("/?wait"))
    await resource.until(lambda: resource.log.count("asked") > asked)


async def test_a_handshake_under_way_is_finished_and_its_client_can_have_an_answer(autojump_clock: MockClock) -> None:
    resource = Door()
    async with open_kit(resource) as kit, trio.open_nursery() as nursery:
        here = await kit.connect()
        connected: list[MemoryClient] = []

        async def come() -> None:
            connected.append(await kit.connect("/?wait"))

        nursery.start_soon(come)
        await resource.until(lambda: "asked" in resource.log)
        kit.server.close()
        assert await drained(here) < 0.5, "nobody waits for the newcomer"
        await trio.sleep(1)
        resource.gate.set()
        await trio.sleep(0.1)
        (late,) = connected
        late.send_text("a question")
        assert await late.receive() == "a question"
        assert await drained(late) == pytest.approx(2, abs=0.3)
        await kit.server.closed()
        assert resource.log[-1] == "-1001"


async def test_a_handshake_that_takes_too_long_is_refused_before_the_101(
    autojump_clock: MockClock, info: Lines
) -> None:
    resource = Door()
    async with open_kit(resource) as kit:
        deciding, half = kit.dial(), kit.dial()
        half.send_bytes(b"GET / HTTP/1.1\r\n")
        await newcomer(deciding, resource)
        kit.server.close()
        assert (await half.receive_bytes()).startswith(b"HTTP/1.1 503 ")
        assert trio.current_time() == pytest.approx(0.25, abs=0.1)
        assert (await deciding.receive_bytes()).startswith(b"HTTP/1.1 503 ")
        assert trio.current_time() == pytest.approx(2, abs=0.1)
        await kit.server.closed()
    assert [line.partition(": ")[2] for line in info()] == ["refused with 503: server stopping"] * 2


async def test_a_decision_that_ignores_its_end_gets_no_101(autojump_clock: MockClock) -> None:
    class Stubborn(Door):
        async def accept_client(self, request: Request) -> None:
            with trio.CancelScope(shield=True):
                self.note("asked")
                await trio.sleep(4)

    resource = Stubborn()
    async with open_kit(resource) as kit:
        line = kit.dial()
        await newcomer(line, resource)
        kit.server.close()
        assert (await line.receive_bytes()).startswith(b"HTTP/1.1 503 ")
        await kit.server.closed()
    assert resource.log == ["asked"]


async def test_a_connection_in_reserve_is_closed_without_an_answer_and_holds_up_nobody(
    autojump_clock: MockClock,
) -> None:
    """Browsers open one beside a tab."""
    async with open_kit(Recorder()) as kit:
        line = kit.dial()
        await wait_all_tasks_blocked()
        kit.server.close()
        assert await line.receive_bytes() == b""
        await kit.server.closed()
        assert trio.current_time() < 1


async def test_a_resource_that_fails_in_a_drain_costs_its_own_clients(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Recorder):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            self.start_soon(self.fail)
            yield

        async def fail(self) -> None:
            await trio.sleep(3)
            raise ZeroDivisionError

    registry = wsframe.Registry(alone=True)
    failing, sound = Failing(), Recorder()
    registry.register("/failing", failing)
    registry.register("/sound", sound)
    async with open_kit(registry, timeouts=Timeouts(drain=8)) as kit:
        for number in range(200):
            await kit.connect("/failing" if number % 2 else "/sound")
        kit.server.close()
        await kit.server.closed()
    assert sound.log.count("-1001") == 100
    assert set(failing.log) == {"+", "-1001", "-1011"}
    assert failing.log.count("+") == 100
    assert "Failing stopped" in caplog.text
    assert logging.ERROR in {record.levelno for record in caplog.records}


async def test_the_shares_of_the_drain(autojump_clock: MockClock) -> None:
    with trio.CancelScope(shield=True) as shield:
        drain = Drain(filled(Timeouts(lame_duck=3), DEFAULT_TIMEOUTS), shield)
        drain.ask()
        assert drain.asked.is_set()
        assert not drain.begun.is_set()
        assert shield.deadline == trio.current_time() + 3 + 8
        await drain.due()
        assert trio.current_time() == pytest.approx(3)
        assert drain.begun.is_set()
        assert (drain.finishing, drain.leaving, drain.stay) == (2, 6, 1)
        assert Drain(filled(Timeouts(drain=0.8), DEFAULT_TIMEOUTS), shield).stay == pytest.approx(0.1)
