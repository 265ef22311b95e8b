"""Having things done in the listener task: post, post_from_thread, call."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.recorder import Recorder
from tests.wire import connected, serving, text
from wsframe import ResourceEnded


async def test_posts_come_in_order() -> None:
    room = Recorder()
    async with serving(room):
        assert all(room.post(number) for number in range(1000))
        await room.journal.until("custom 999")
    assert room.notes == [f"custom {number}" for number in range(1000)]


async def test_post_takes_its_turn_with_messages() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server, trailing=text("hold")):
        await room.journal.until("text hold")
        room.post("x")
        await wait_all_tasks_blocked()
        assert room.notes[-1] == "text hold"
        room.release.set()
        await room.journal.until("custom x")


@pytest.mark.parametrize("message", [None, "text", b"bytes", (), 0])
async def test_anything_may_be_posted(message: object) -> None:
    room = Recorder()
    async with serving(room):
        assert room.post(message)
        await room.journal.until(f"custom {message}")


async def test_ten_thousand_posts_may_wait() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server, trailing=text("hold")):
        await room.journal.until("text hold")
        assert sum(room.post(number) for number in range(10_005)) == 10_000
        room.release.set()
        await room.journal.until("custom 9999")
        assert "custom 10000" not in room.notes
        assert room.post("room again")
        await room.journal.until("custom room again")


async def test_post_from_thread_is_delivered_and_returns_at_once() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server, trailing=text("hold")):
        await room.journal.until("text hold")
        await trio.to_thread.run_sync(room.post_from_thread, "from afar")
        room.release.set()
        await room.journal.until("custom from afar")


async def test_post_from_another_thread_names_the_way_and_delivers_nothing() -> None:
    room = Recorder()
    async with serving(room):
        await wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match=r"Resource\.post_from_thread"):
            await trio.to_thread.run_sync(room.post, "lost")
        assert room.post("next")
    assert room.notes == ["custom next"]


async def test_posts_made_before_the_stop_are_delivered() -> None:
    room = Recorder()
    async with serving(room) as server:
        room.post("last")
        server.close()
    assert room.notes == ["custom last"]
    assert room.post("too late") is False


class Asked(Recorder):
    async def double(self, number: int) -> int:
        await trio.lowlevel.checkpoint()
        self.journal.add(f"double {number}")
        return 2 * number

    def half(self, number: int) -> float:
        self.journal.add(f"half {number}")
        return number / 2

    async def fail(self) -> None:
        raise KeyError("failed")

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        await super().received_text(client, message)
        if message == "call":
            try:
                await self.call(self.half, 1)
            except RuntimeError as error:
                self.journal.add(str(error))

    async def nested(self) -> float:
        return await self.call(self.half, 1)


async def test_call_returns_the_result_of_sync_and_async_functions() -> None:
    room = Asked()
    async with serving(room):
        assert await room.call(room.double, 21) == 42
        assert await room.call(room.half, 21) == 10.5
    assert room.notes == ["double 21", "half 21"]


async def test_call_raises_what_the_function_raises_and_nobody_is_harmed() -> None:
    room = Asked()
    async with serving(room) as server, connected(server) as peer:
        with pytest.raises(KeyError, match="failed"):
            await room.call(room.fail)
        with pytest.raises(TypeError):
            await room.call(room.half, "x")  # type: ignore[arg-type]
        await peer.finish()


async def test_call_runs_between_hooks_not_during_one() -> None:
    room = Asked()
    async with serving(room) as server, connected(server, trailing=text("hold")):
        await room.journal.until("text hold")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(room.call, room.half, 2)
            await wait_all_tasks_blocked()
            assert "half 2" not in room.notes
            room.release.set()
        assert room.notes[-1] == "half 2"


async def test_call_from_inside_the_listener_task_is_a_runtime_error() -> None:
    room = Asked()
    async with serving(room) as server, connected(server, trailing=text("call")):
        await room.journal.when(lambda notes: any("would wait for itself" in note for note in notes))
        with pytest.raises(RuntimeError, match="would wait for itself"):
            await room.call(room.nested)


async def test_call_that_is_cancelled_leaves_the_resource_working() -> None:
    room = Asked()
    async with serving(room) as server, connected(server, trailing=text("hold")):
        await room.journal.until("text hold")
        with trio.CancelScope() as scope:
            scope.cancel()
            await room.call(room.half, 2)
        room.release.set()
        assert await room.call(room.half, 4) == 2


async def test_call_that_is_cut_off_by_the_stop_raises_resource_ended() -> None:
    room = Asked()
    outcome: list[str] = []

    async def caller() -> None:
        try:
            await room.call(trio.sleep_forever)
        except ResourceEnded as error:
            outcome.append(str(error))

    async with trio.open_nursery() as nursery, serving(room, timeouts=wsframe.Timeouts(drain=0.05)):
        nursery.start_soon(caller)
        await wait_all_tasks_blocked()
    assert outcome == ["Asked stopped during the call"]


async def test_call_that_the_stop_overtakes_raises_resource_ended() -> None:
    room = Asked()
    outcome: list[str] = []

    async def caller() -> None:
        try:
            await room.call(room.half, 2)
        except ResourceEnded as error:
            outcome.append(str(error))

    async with (
        trio.open_nursery() as nursery,
        serving(room, timeouts=wsframe.Timeouts(drain=0.05, close=0.05)) as server,
        connected(server) as peer,
    ):
        await peer.send(text("hold"))
        await room.journal.until("text hold")
        nursery.start_soon(caller)
        await wait_all_tasks_blocked()
        server.close()
        await server.closed()
    assert outcome == ["Asked stopped before the call"]


class Calling(Asked):
    """Uses call where its listener task does not run."""

    def __init__(self, when: str) -> None:
        super().__init__()
        self.when = when

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        if self.when == "before":
            await self.try_call()
        yield
        if self.when == "after":
            await self.try_call()

    async def try_call(self) -> None:
        with trio.move_on_after(1) as scope:
            try:
                await self.call(self.half, 2)
            except (RuntimeError, ResourceEnded):
                self.journal.add("refused")
        if scope.cancelled_caught:
            self.journal.add("waited for ever")


@pytest.mark.parametrize("when", ["before", "after"])
async def test_call_from_running_while_nobody_listens_is_an_error_not_a_wait(
    when: str, autojump_clock: MockClock
) -> None:
    """Before its yield and after it there is no listener task that could run the call."""
    room = Calling(when)
    async with serving(room):
        pass
    assert room.notes == ["refused"]


async def test_call_from_a_hook_of_one_client_works_with_ordering_client() -> None:
    class Each(Asked):
        ordering = "client"

    room = Each()
    async with serving(room) as server, connected(server, trailing=text("call")):
        await room.journal.until("half 1")
