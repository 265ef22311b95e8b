"""``client.start_soon``: work that belongs to one client, ends with it and fails like a hook of it."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import wsframe
from tests.recorder import Recorder
from tests.wire import close, connected, serving, text
from wsframe import Timeouts
from wsframe.hooks.listener import Listener
from wsframe.hooks.tasks import MAX_TASKS
from wsframe.resources.resource import Ordering
from wsframe.user_code.protected_nursery import ProtectedNursery

ORDERINGS: list[Ordering] = ["resource", "client"]


class Busy(Recorder):
    """Starts a task for each message; the message names the task."""

    def __init__(self) -> None:
        super().__init__()
        self.clean = trio.Event()
        self.hooks: list[str] = []

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        self.journal.add(f"started {client.start_soon(self.work, client, message)}")

    async def work(self, client: wsframe.Client, message: str) -> None:
        self.journal.add(f"begin {message}")
        try:
            if message == "fail":
                raise ZeroDivisionError("in a task")
            if message == "reply":
                client.send_text("reply")
                return
            await trio.sleep_forever()
        finally:
            if message == "clean slowly":
                with trio.CancelScope(shield=True):
                    await self.clean.wait()
            self.journal.add(f"end {message}")
            if message == "fail in the end":
                raise KeyError("while it was cancelled")

    async def hook_failed(self, error: BaseException, *, hook: str, client: wsframe.Client | None) -> None:
        self.journal.add(f"failed {hook} {type(error).__name__}")
        await super().hook_failed(error, hook=hook, client=client)


@pytest.fixture(params=ORDERINGS)
def room(request: pytest.FixtureRequest) -> Busy:
    class Ordered(Busy):
        pass

    Ordered.ordering = request.param
    return Ordered()


async def test_what_a_task_sends_leaves(room: Busy) -> None:
    async with serving(room) as server, connected(server, trailing=text("reply")) as peer:
        assert await peer.receive_text() == "reply"
        await peer.finish()
    assert "started True" in room.notes


async def test_hooks_go_on_meanwhile(room: Busy) -> None:
    async with serving(room) as server, connected(server, trailing=text("a") + text("b")) as peer:
        await room.journal.until("begin a")
        await room.journal.until("begin b")
        await peer.finish()


@pytest.mark.parametrize("how", ["closes", "drops"])
async def test_task_ends_with_its_client_and_before_disconnected(how: str, room: Busy) -> None:
    async with serving(room) as server, connected(server, trailing=text("stays")) as other:
        await room.journal.until("begin stays")
        async with connected(server, trailing=text("work")) as peer:
            await room.journal.until("begin work")
            if how == "closes":
                await peer.finish()
            else:
                peer.reset()
            await room.journal.when(lambda notes: notes[-1].startswith("disconnected"))
        assert room.notes.index("end work") < len(room.notes) - 1
        assert "end stays" not in room.notes, "it belongs to another client"
        await other.finish()
    assert room.notes[-2:] == ["end stays", "disconnected 1000"]


async def test_disconnected_waits_for_a_task_that_takes_its_time_and_nobody_else_does(room: Busy) -> None:
    async with serving(room) as server, connected(server) as other:
        async with connected(server, trailing=text("clean slowly")) as peer:
            await room.journal.until("begin clean slowly")
            await peer.finish()
        await other.send(text("reply"))
        assert await other.receive_text() == "reply"
        assert not [note for note in room.notes if note.startswith("disconnected")]
        assert server.statistics().reserved == 2, "its place is taken until it has been said goodbye to"
        room.clean.set()
        await room.journal.until("disconnected 1000")
        assert room.notes.index("end clean slowly") < room.notes.index("disconnected 1000")
        await other.finish()


async def test_task_that_raises_is_a_failed_hook(room: Busy, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(room) as server, connected(server, trailing=text("keeps on")) as other:
        await room.journal.until("begin keeps on")
        async with connected(server, trailing=text("fail")) as peer:
            assert await peer.receive_close() == (1011, "internal error")
            await peer.send(close(1011))
            await room.journal.until("disconnected 1011")
        assert "end keeps on" not in room.notes
        await other.finish()
    assert room.notes.index("failed start_soon ZeroDivisionError") < room.notes.index("disconnected 1011")
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage().startswith("start_soon of Ordered failed for <Client ")


async def test_starting_from_another_thread_is_refused_and_changes_nothing(room: Busy) -> None:
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        for start in (room.only.start_soon, room.start_soon):
            with pytest.raises(RuntimeError, match="thread"):
                await trio.to_thread.run_sync(start, trio.sleep_forever)
        await peer.send(close())
        await room.journal.until("disconnected 1000")


async def test_task_that_raises_may_cost_the_client_nothing() -> None:
    class Lenient(Busy):
        on_hook_failed = "drop_message"

    room = Lenient()
    async with serving(room) as server, connected(server, trailing=text("fail")) as peer:
        await room.journal.until("failed start_soon ZeroDivisionError")
        await peer.send(text("reply"))
        assert await peer.receive_text() == "reply"
        await peer.finish()


async def test_task_that_raises_while_it_is_cancelled_is_asked_about_before_disconnected(room: Busy) -> None:
    async with serving(room) as server:
        async with connected(server, trailing=text("fail in the end")) as peer:
            await room.journal.until("begin fail in the end")
            await peer.finish()
        await room.journal.until("disconnected 1000")
    assert room.notes[-3:] == ["end fail in the end", "failed start_soon KeyError", "disconnected 1000"]


async def test_hook_failed_for_a_task_overlaps_no_hook() -> None:
    room = Busy()
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        client, held = room.only, trio.Event()

        async def hold() -> None:
            client.start_soon(room.work, client, "fail")
            await held.wait()
            room.journal.add("hook over")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(room.call, hold)
            await room.journal.until("end fail")
            await wait_all_tasks_blocked()
            assert room.notes[-1] == "end fail"
            held.set()
        assert (await peer.receive_close())[0] == 1011
    assert room.notes.index("hook over") < room.notes.index("failed start_soon ZeroDivisionError")


async def test_nothing_is_started_for_a_client_that_has_gone() -> None:
    room = Busy()
    async with serving(room) as server:
        async with connected(server) as peer:
            await room.journal.until("connected")
            client = room.only
            await peer.finish()
        await room.journal.until("disconnected 1000")
        assert not client.start_soon(room.work, client, "x")
    assert not client.start_soon(room.work, client, "x"), "nor while nobody serves"
    assert "begin x" not in room.notes


async def test_nothing_is_started_between_the_end_and_disconnected() -> None:
    room = Busy()
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        client = room.only
        client.abort()
        assert not client.start_soon(room.work, client, "x")
        assert await peer.end() == "reset"
        await room.journal.until("disconnected 1006")
    assert "begin x" not in room.notes


async def test_client_has_so_many_tasks_and_no_more() -> None:
    room = Busy()
    async with serving(room) as server, connected(server) as peer:
        await peer.send(*[text("x")] * (MAX_TASKS + 1))
        await room.journal.until("started False")
        assert room.notes.count("started True") == MAX_TASKS
        await room.journal.until("begin x", MAX_TASKS)
        await peer.finish()
    assert room.notes.count("end x") == MAX_TASKS


async def test_task_that_is_over_makes_room_for_another() -> None:
    room = Busy()
    async with serving(room) as server, connected(server) as peer:
        for _ in range(MAX_TASKS + 1):
            await peer.send(text("reply"))
            assert await peer.receive_text() == "reply"
        await peer.finish()
    assert "started False" not in room.notes


async def test_tasks_of_clients_end_with_the_resource() -> None:
    class Failing(Busy):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            self.start_soon(self.fail)
            yield

        async def fail(self) -> None:
            await self.release.wait()
            raise ZeroDivisionError("of the resource")

    room = Failing()
    async with serving(room) as server, connected(server, trailing=text("work")) as peer:
        await room.journal.until("begin work")
        client = room.only
        room.release.set()
        await room.journal.until("end work")
        assert (await peer.receive_close())[0] == 1011
        assert not client.start_soon(room.work, client, "x")
        await peer.send(close(1011))
        await room.journal.until("disconnected 1011")
    assert "begin x" not in room.notes


@pytest.mark.parametrize("ordering", ORDERINGS)
async def test_server_that_is_cut_off_says_goodbye_without_waiting_for_tasks(ordering: Ordering) -> None:
    class Ordered(Busy):
        pass

    Ordered.ordering = ordering
    room = Ordered()
    async with (
        serving(room, timeouts=Timeouts(drain=0.1, close=0.1)) as server,
        connected(server, trailing=text("clean slowly")) as peer,
    ):
        await room.journal.until("begin clean slowly")
        server.close()
        await room.journal.until("disconnected 1006")
        assert "end clean slowly" not in room.notes
        room.clean.set()
        await server.closed()
        await peer.end()
    assert room.notes[-1] == "end clean slowly"


@pytest.mark.parametrize("message", ["fail in the end", "fail later"])
async def test_error_nobody_can_be_asked_about_is_logged(message: str, caplog: pytest.LogCaptureFixture) -> None:
    class Hanging(Busy):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            await super().received_text(client, message)
            await trio.sleep_forever()

        async def work(self, client: wsframe.Client, message: str) -> None:
            if message == "fail later":
                try:
                    await trio.sleep_forever()
                finally:
                    with trio.CancelScope(shield=True):
                        await self.clean.wait()
                    raise KeyError("after its client's disconnected")
            await super().work(client, message)

    room = Hanging()
    async with (
        serving(room, timeouts=Timeouts(drain=0.1, close=0.1)) as server,
        connected(server, trailing=text(message)),
    ):
        await room.journal.until("started True")
        await wait_all_tasks_blocked()
        if message == "fail in the end":
            room.only.abort()
        server.close()
        await room.journal.until("disconnected 1006")
        room.clean.set()
        await server.closed()
    assert [record.getMessage().partition(" of")[0] for record in caplog.records if record.levelno >= logging.ERROR]
    assert "failed start_soon KeyError" not in room.notes


async def test_none_is_started_in_the_moment_in_which_the_resource_ends(room: Busy) -> None:
    """Its nursery is closed before the task that stands in it has had its turn."""
    async with ProtectedNursery() as closed:
        pass
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        assert isinstance(room._listener, Listener)
        room._listener.tasks.open(closed)
        await peer.send(text("forever"))
        await room.journal.until("started False")
        await peer.finish()
        await room.journal.until("disconnected 1000")
    assert room.notes == ["connected", "started False", "disconnected 1000"]
