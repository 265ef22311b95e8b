"""Around the hooks: ``running()``, the resource's own tasks, and the cost of their failures."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.recorder import Echo, Recorder
from tests.wire import close, connected, serving, status, text


class Opened(Recorder):
    """Notes when ``running()`` is entered and left."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.journal.add("entered")
        try:
            yield
        finally:
            await trio.lowlevel.checkpoint()
            self.journal.add("left")


async def test_running_is_entered_before_the_first_client_and_left_after_the_last() -> None:
    room = Opened()
    async with serving(room) as server:
        assert room.notes == ["entered"], "before the server accepts anybody"
        async with connected(server) as peer:
            await room.journal.until("connected")
            server.close()
            assert (await peer.receive_close())[0] == 1001
            await peer.send(close(1001))
            await peer.end()
    assert room.notes == ["entered", "connected", "disconnected 1001", "left"]


async def test_resource_registered_while_serving_is_entered_before_its_first_client() -> None:
    room, registry = Opened(), wsframe.Registry()
    async with wsframe.open_server(registry, port=0) as server:
        registry.register("/late", room)
        async with connected(server, "/late"):
            await room.journal.until("connected")
    assert room.notes == ["entered", "connected", "disconnected 1006", "left"]


class Broken(Recorder):
    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await trio.lowlevel.checkpoint()
        if not self.release.is_set():
            raise OSError("no database")
        yield


async def test_running_that_fails_at_the_start_leaves_serve_as_it_is() -> None:
    with pytest.raises(OSError, match="no database"):
        async with serving({"/": Recorder(), "/broken": Broken()}):
            raise AssertionError("served")


class Ticking(Opened):
    """Has a ticker, which notes how it ends."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.start_soon(self.tick, "first", "argument")
        async with super().running():
            self.start_soon(self.tick, "second", "argument")
            yield

    async def tick(self, name: str, argument: str) -> None:
        self.journal.add(f"{name} ticks")
        try:
            await trio.sleep_forever()
        finally:
            self.journal.add(f"{name} stopped")


async def test_tasks_are_cancelled_before_running_is_left() -> None:
    room = Ticking()
    async with serving(room):
        await room.journal.until("first ticks")
        await room.journal.until("second ticks")
    assert room.notes[0] == "entered", "a task begins when running() has been entered"
    assert room.notes[-1] == "left"
    assert {"first stopped", "second stopped"} <= set(room.notes[:-1])


async def test_task_may_be_started_from_a_hook_and_send() -> None:
    class Late(Ticking):
        async def client_connected(self, client: wsframe.Client) -> None:
            self.start_soon(self.greet, client)

        async def greet(self, client: wsframe.Client) -> None:
            await trio.lowlevel.checkpoint()
            client.send("hello")
            await self.tick("greeter", "argument")

    room = Late()
    async with serving(room) as server, connected(server) as peer:
        assert await peer.receive_text() == "hello"
    assert "greeter stopped" in room.notes


async def test_what_a_task_sends_leaves_although_it_waits_for_something_else() -> None:
    class Sender(Recorder):
        async def client_connected(self, client: wsframe.Client) -> None:
            self.start_soon(self.send_and_wait, client)

        async def send_and_wait(self, client: wsframe.Client) -> None:
            client.send("before")
            await trio.sleep_forever()

    async with serving(Sender()) as server, connected(server) as peer:
        assert await peer.receive_text() == "before"


async def test_task_that_ends_harms_nobody() -> None:
    room = Echo()
    async with serving(room) as server, connected(server) as peer:
        room.start_soon(trio.lowlevel.checkpoint)
        await wait_all_tasks_blocked()
        await peer.send(text("x"))
        assert await peer.receive_text() == "x"


class Crashing(Opened):
    """Its task crashes when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.crash = trio.Event()

    async def client_connected(self, client: wsframe.Client) -> None:
        await super().client_connected(client)
        if len(self.clients) == 1:
            self.start_soon(self.task)

    async def task(self) -> None:
        await self.crash.wait()
        self.crash = trio.Event()
        raise ZeroDivisionError


async def test_task_that_crashes_closes_the_clients_1011_and_spares_other_resources(
    caplog: pytest.LogCaptureFixture,
) -> None:
    room, other = Crashing(), Echo()
    async with (
        serving({"/": room, "/other": other}) as server,
        connected(server) as first,
        connected(server) as second,
        connected(server, "/other") as bystander,
    ):
        await room.journal.until("connected", 2)
        room.crash.set()
        for peer in (first, second):
            assert await peer.receive_close() == (1011, "internal error")
            await peer.send(close(1011))
        await room.journal.until("disconnected 1011", 2)
        await room.journal.until("left")
        await bystander.send(text("still here"))
        assert await bystander.receive_text() == "still here"
        assert await status(server) == 503
    assert other.notes[:2] == ["connected", "text still here"]
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert ["Crashing stopped" in record.getMessage() for record in errors] == [True]


async def crash(server: wsframe.Server, room: Crashing) -> None:
    """Connect to a resource and let its task crash."""
    lives = room.notes.count("left")
    async with connected(server) as peer:
        await wait_all_tasks_blocked()
        room.crash.set()
        assert (await peer.receive_close())[0] == 1011
        await peer.send(close(1011))
        await room.journal.until("left", lives + 1)


async def test_crashed_resource_starts_anew_for_a_newcomer_after_a_pause_that_doubles(
    patient_clock: MockClock,
) -> None:
    room = Crashing()
    async with serving(room) as server:
        for pause in (1, 2, 4):
            await crash(server, room)
            await trio.sleep(pause - 0.2)
            assert await status(server) == 503
            await trio.sleep(0.4)
        async with connected(server):
            await room.journal.until("connected", 4)
    assert room.notes.count("entered") == 4


async def test_running_that_fails_while_serving_answers_503(patient_clock: MockClock) -> None:
    registry, room = wsframe.Registry(), Broken()
    async with wsframe.open_server(registry, port=0) as server:
        registry.register("/", room)
        assert await status(server) == 503
        assert await status(server) == 503


async def test_task_that_will_not_stop_is_bounded_by_the_drain(patient_clock: MockClock) -> None:
    class Stubborn(Recorder):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            yield
            with suppress(ZeroDivisionError):
                await trio.sleep_forever()

    start = trio.current_time()
    async with serving(Stubborn(), timeouts=wsframe.Timeouts(drain=2)):
        pass
    assert trio.current_time() - start == pytest.approx(2, abs=1)


async def test_cancelling_serve_while_running_is_entered_ends_it(autojump_clock: MockClock) -> None:
    """A database that does not answer must not make the server immune to cancellation."""

    class Hanging(Recorder):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            self.journal.add("entering")
            await self.release.wait()
            yield

    room, registry = Hanging(), wsframe.Registry()
    registry.register("/", room)

    async def rescue() -> None:
        await trio.sleep(60)
        room.release.set()

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rescue)
        with trio.move_on_after(1):
            await wsframe.serve(registry, port=0)
        nursery.cancel_scope.cancel()
    assert trio.current_time() - start < 30


async def test_life_begins_anew_when_served_again() -> None:
    room = Opened()
    for _ in range(2):
        async with serving(room) as server, connected(server) as peer:
            await peer.finish()
    assert room.notes == ["entered", "connected", "disconnected 1000", "left"] * 2
