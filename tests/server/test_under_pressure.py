"""Promises that hold when memory is short, when a resource misbehaves, and when things end out of order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import wsframe
from tests.kernel import Rig
from tests.local_server import local_server_of
from tests.recorder import Recorder
from tests.wire import BOUND, PONG, connected, frame, serving, text
from wsframe import Capacity, Limits
from wsframe.connection.memory_budget import FRAME_COST
from wsframe.protocol.frames import TEXT, data_frame


async def test_what_the_departed_left_behind_is_dropped_before_anybody_else_is_reset(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Messages of peers that are gone wait for a stuck hook: idle clients must not pay for them."""
    room = Recorder()
    async with (
        serving(room, limits=Limits(max_queued_bytes=100_000), capacity=Capacity(max_queued_bytes=250_000)) as server,
        connected(server) as first,
    ):
        await first.send(text("hold"))
        await room.journal.until("text hold")
        async with connected(server) as idle:
            for _ in range(3):
                async with connected(server) as peer:
                    await peer.send(*[text("x" * 10_000)] * 9)
                    await wait_all_tasks_blocked(0.02)
                    peer.reset()
            reactor = local_server_of(server).reactor
            await wait_all_tasks_blocked(0.02)
            reactor.relieve()
            assert "exceed max_queued_bytes" in caplog.text
            assert len(reactor.links) == 2, "an idle client was reset"
            room.release.set()
            await idle.send(text("still here"))
            await room.journal.until("text still here")
    assert reactor.loop.departed == set()
    assert reactor.budget.held == 0


async def test_departed_client_whose_messages_are_dropped_still_has_its_end() -> None:
    """Its undecoded rest waited for the share to be used up, and the end behind it."""
    room = Recorder()
    async with serving(room, limits=Limits(max_queued_messages=3)) as server, connected(server) as first:
        await first.send(text("hold"))
        await room.journal.until("text hold")
        async with connected(server) as peer:
            await peer.send(*[text("x")] * 20)
            await wait_all_tasks_blocked(0.02)
            peer.reset()
        await wait_all_tasks_blocked(0.02)
        local_server_of(server).reactor.budget.limit = 0
        local_server_of(server).reactor.relieve()
        room.release.set()
        with trio.fail_after(BOUND):
            await room.journal.until("disconnected 1006")


async def test_keepalive_pong_that_comes_after_a_pause_is_no_news_for_the_hook() -> None:
    room = Recorder()
    async with (
        serving(room, limits=Limits(max_queued_messages=2), timeouts=wsframe.Timeouts(ping_interval=0.1)) as server,
        connected(server) as peer,
    ):
        ping = await peer.receive()
        assert ping is not None
        await peer.send(text("hold"), text("1"), text("2"), text("3"), frame(PONG, ping.payload), text("last"))
        await room.journal.until("text hold")
        room.release.set()
        await room.journal.until("text last")
    assert not [note for note in room.notes if note.startswith("pong")]


async def test_drained_gives_others_a_turn_though_the_kernel_takes_everything() -> None:
    room = Recorder()
    async with serving(room) as server, connected(server):
        await room.journal.until("connected")
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            for _ in range(20):
                assert await room.only.drained()
            nursery.cancel_scope.cancel()
        assert turns >= 10


async def test_running_that_swallows_a_crash_ends_the_resource_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """Else its clients would be served with whatever running() had opened closed again."""

    class Swallowing(Recorder):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            with suppress(ExceptionGroup):
                yield

        async def crash(self) -> None:
            raise ValueError("crash")

    room = Swallowing()
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        room.start_soon(room.crash)
        assert (await peer.receive_close())[0] == 1011
    assert "running() ended before its resource" in caplog.text


async def test_larger_message_of_a_key_that_has_no_room_leaves_the_older_one() -> None:
    rig = Rig(limit=100 + 2 * FRAME_COST, overflow="drop_newest")
    outbox = rig.outbox
    outbox.put(data_frame(TEXT, b"first"))
    rig.block()
    old = data_frame(TEXT, b"old")
    assert outbox.put_latest("price", old)
    assert not outbox.put_latest("price", data_frame(TEXT, bytes(200)))
    assert bytes(outbox.items[1]) == bytes(old)
    assert outbox.dropped == 1


async def test_system_exit_comes_out_of_open_server_as_it_is() -> None:
    with pytest.raises(SystemExit):
        async with wsframe.open_server(wsframe.Registry(), port=0):
            raise SystemExit(3)


async def test_post_while_the_resource_leaves_running_is_refused() -> None:
    class Posting(Recorder):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            yield
            self.journal.add(f"posted {self.post('too late')}")

    room = Posting()
    async with serving(room):
        pass
    assert room.notes == ["posted False"]


async def test_no_sockets_at_all_are_an_error() -> None:
    with pytest.raises(ValueError, match="sockets is empty"):
        await wsframe.serve(wsframe.Registry(), sockets=[])
