"""The relay as a worker sees it: the promises of every backplane, and a relay that ends."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from tests.backplane.relays import listening, relay, relay_process
from tests.patience import PATIENCE
from wsframe.backplane.interface import Backplane, History, Lease, Position
from wsframe.backplane.relay.backplane import RelayBackplane
from wsframe.backplane.relay.frames import ANSWER, ASK, HELLO, LONGEST, RelayFrame, frame, json_frame
from wsframe.backplane.relay.stream import read_frames
from wsframe.testing.backplanes import HistoryConformance, LeaseConformance, Node, PublishConformance, Recording

pytestmark = pytest.mark.skipif(not hasattr(trio, "open_unix_socket"), reason="no unix sockets here")
KEEP = History()


class TestRelay(PublishConformance, HistoryConformance, LeaseConformance):
    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / "relay"

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Callable[[], Backplane]]:
        async with relay(self.path):
            yield lambda: RelayBackplane(str(self.path))


@asynccontextmanager
async def nodes(path: Path, *names: str, limit: int = 8 << 20) -> AsyncIterator[list[Node]]:
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            running = [Node(name, RelayBackplane(str(path), limit=limit)) for name in names]
            for node in running:
                await nursery.start(node.backplane.run, node.name, node.told)
            yield running
            nursery.cancel_scope.cancel()


async def test_a_relay_that_was_killed_is_replaced_and_the_gap_is_told_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with listening(tmp_path / "relay") as listener, relay_process(listener) as process:
        async with nodes(tmp_path / "relay", "a", "b") as (a, b):
            await b.want("t")
            a.backplane.publish("t", b"before")
            await b.told.until(lambda: b.told.messages)
            process.kill()
            await b.told.until(lambda: b.told.reached[-1] is False)
            await a.told.until(lambda: a.told.reached[-1] is False)
            assert not a.backplane.publish("t", b"lost")
            with relay_process(listener):
                await a.told.until(lambda: a.told.reached[-1])
                await b.told.until(lambda: b.told.reached[-1])
                a.backplane.publish("t", b"after")
                await b.told.until(lambda: len(b.told.messages) == 2)
            assert b.told.payloads("t") == [b"before", b"after"]
            assert b.told.order.index("gap None") < len(b.told.order) - 1 - b.told.order[::-1].index("message t")
    assert "the relay has ended its stream" in caplog.text or "the stream to the relay is lost" in caplog.text


async def test_a_new_relay_has_another_epoch_and_grants_no_lease_at_first(tmp_path: Path) -> None:
    with listening(tmp_path / "relay") as listener:
        async with nodes_of_two_relays(tmp_path, listener) as (a, before):
            assert await a.backplane.since("t", before, 10) is None
            assert await a.backplane.acquire(["k"], 600.0) == [""]
            (lease,) = await a.backplane.acquire(["k"], 0.0)
            assert isinstance(lease, Lease)


@asynccontextmanager
async def nodes_of_two_relays(tmp_path: Path, listener: socket.socket) -> AsyncIterator[tuple[Node, Position]]:
    with relay_process(listener) as process:
        async with nodes(tmp_path / "relay", "a") as (a,):
            await a.want("t")
            a.backplane.publish("t", b"x", keep=KEEP)
            await a.told.until(lambda: a.told.messages)
            process.kill()
            await a.told.until(lambda: a.told.reached[-1] is False)
            with relay_process(listener):
                await a.told.until(lambda: a.told.reached[-1])
                position = a.told.messages[0].position
                assert position is not None
                yield a, position


async def test_a_worker_that_connects_before_the_relay_starts_waits_for_it(tmp_path: Path) -> None:
    path = tmp_path / "relay"
    told = Recording()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(RelayBackplane(str(path)).run, "a", told)
            await told.until(lambda: told.reached == [False])
            async with relay(path):
                await told.until(lambda: told.reached[-1])
                nursery.cancel_scope.cancel()
    assert told.gaps == []


async def test_messages_that_were_not_written_are_a_gap_at_the_others(tmp_path: Path) -> None:
    path = tmp_path / "relay"
    async with relay(path), nodes(path, "a", "b") as (a, b):
        await b.want("lost", "other")
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                again = RelayBackplane(str(path))
                await nursery.start(again.run, "c", Recording())
                for _ in range(40):
                    again.publish("lost", b"x" * 100_000)  # more than the kernel takes at once
                scope.cancel()  # before its writer has had a turn
        async with trio.open_nursery() as nursery:
            await nursery.start(again.run, "c", Recording())
            await b.told.until(lambda: b.told.gaps)
            a.backplane.publish("lost", b"after")
            await b.told.until(lambda: b.told.payloads("lost")[-1:] == [b"after"])
            nursery.cancel_scope.cancel()
        assert b.told.order[-2:] == ["gap lost", "message lost"]


async def test_publishing_never_waits_and_tells_when_there_is_no_room(tmp_path: Path) -> None:
    path = tmp_path / "relay"
    async with relay(path), nodes(path, "a", "b", limit=100_000) as (a, b):
        await b.want("t")
        queued = sum(a.backplane.publish("t", b"x" * 1_000) for _ in range(1_000))
        assert 50 < queued < 110
        await b.told.until(lambda: b.told.gaps)
        assert len(b.told.messages) == queued
        assert a.backplane.publish("t", b"room again")
        await b.told.until(lambda: len(b.told.messages) == queued + 1)
        assert not a.backplane.publish("t", bytes(LONGEST))
        await b.told.until(lambda: len(b.told.gaps) == 2)
        assert b.told.gaps == ["t", "t"]


async def test_a_message_that_was_refused_while_the_relay_was_away_is_a_gap_at_the_others(tmp_path: Path) -> None:
    path = tmp_path / "relay"
    async with relay(path), nodes(path, "b") as (b,):
        await b.want("lost")
        again = RelayBackplane(str(path))
        assert not again.publish("lost", b"x")
        async with trio.open_nursery() as nursery:
            await nursery.start(again.run, "c", Recording())
            await b.told.until(lambda: b.told.gaps == ["lost"])
            nursery.cancel_scope.cancel()


async def test_many_topics_are_wanted_again(tmp_path: Path) -> None:
    topics = [f"room:{number}" for number in range(20_000)]
    with listening(tmp_path / "relay") as listener, relay_process(listener) as process:
        async with nodes(tmp_path / "relay", "a", "b") as (a, b):
            await b.want(*topics)
            process.kill()
            await b.told.until(lambda: b.told.reached[-1] is False)
            with relay_process(listener):
                await b.told.until(lambda: len(b.told.wants) == 40_000)
                await a.told.until(lambda: a.told.reached[-1])
                a.backplane.publish(topics[-1], b"x")
                await b.told.until(lambda: b.told.messages)


async def test_topics_that_no_single_frame_could_name_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsframe.backplane.relay.frames.LONGEST", 150_000)
    topics = [f"room:{number}" for number in range(40_000)]
    path, told = tmp_path / "relay", Recording()
    async with relay(path), nodes(path, "a") as (a,):
        plane = RelayBackplane(str(path))
        plane.want(topics[:20_000])
        async with trio.open_nursery() as nursery:
            await nursery.start(plane.run, "b", told)
            plane.want(topics[20_000:])
            await told.until(lambda: [topic for topic, _ in told.wants] == topics)
            plane.unwant(topics[1:])
            a.backplane.publish(topics[0], b"x")
            await told.until(lambda: told.messages)
            nursery.cancel_scope.cancel()


async def test_a_relay_that_speaks_otherwise_is_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told, rounds = Recording(), 0

    async def lie(stream: trio.SocketStream) -> None:
        nonlocal rounds
        rounds += 1
        await stream.send_all([bytes(100), frame(HELLO) + frame(77), json_frame(HELLO, None)][min(rounds, 3) - 1])
        await trio.sleep_forever()

    with listening(tmp_path / "relay") as listener, trio.fail_after(PATIENCE):
        listener.setblocking(False)
        ours = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        plane = RelayBackplane(str(tmp_path / "relay"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, lie, [ours])
            nursery.start_soon(plane.run, "a", told)
            await told.until(lambda: len(told.reached) == 4)
            assert told.reached == [False, True, False, True]
            nursery.cancel_scope.cancel()


async def test_requests_end_with_the_stream(tmp_path: Path) -> None:
    plane = RelayBackplane(str(tmp_path / "relay"))
    assert await plane.newest("t") is None
    assert await plane.kept("t") is None
    assert await plane.acquire(["k", "l"], 1.0) == ["", ""]
    assert await plane.renew([Lease("k", 1, 0.0)], 1.0) == [None]
    await plane.release([Lease("k", 1, 0.0)])


async def test_a_topic_wanted_while_the_greeting_is_under_way_is_wanted(tmp_path: Path) -> None:
    """Neither is it in the greeting nor can it be told before the answer."""
    path = tmp_path / "relay"
    async with relay(path), nodes(path, "a", "b") as (a, b):
        told, opened = Recording(), trio.Event()

        async def connect() -> trio.abc.Stream:
            stream = await trio.open_unix_socket(str(path))
            opened.set()
            return stream

        again = RelayBackplane("", connect=connect)
        again.want(["early", "given up"])
        await b.want("lost")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(again.run, "c", told)
            await opened.wait()
            await trio.lowlevel.checkpoint()  # the greeting has been written
            again.want(["late"])
            again.unwant(["given up"])
            assert not again.publish("lost", b"x")
            await told.until(lambda: {topic for topic, _ in told.wants} >= {"early", "late"})
            await b.told.until(lambda: b.told.gaps == ["lost"])
            a.backplane.publish("given up", b"1")
            a.backplane.publish("late", b"2")
            await told.until(lambda: told.messages)
            assert [message.topic for message in told.messages] == ["late"]
            nursery.cancel_scope.cancel()


async def test_a_stream_that_is_closed_for_a_fault_is_a_gap_at_the_others(tmp_path: Path) -> None:
    """The relay reads no further, and nobody knows how much would have come."""
    path = tmp_path / "relay"
    async with relay(path), nodes(path, "a") as (a,), await trio.open_unix_socket(str(path)) as stream:
        await stream.send_all(json_frame(HELLO, {"node": "odd", "lost": []}) + frame(99))
        await a.told.until(lambda: a.told.gaps == [None])


async def test_a_lease_that_is_granted_too_late_is_given_back(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    plane, told, asked = RelayBackplane("unused"), Recording(), list[dict[str, Any]]()

    async def opened() -> trio.abc.Stream:
        return ours

    plane._open = opened

    def take(read: RelayFrame) -> None:
        if read.kind == ASK:
            asked.append(read.json())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_frames, theirs, take)
        await theirs.send_all(frame(HELLO))
        await nursery.start(plane.run, "a", told)
        assert await plane.acquire(["one", "two", "three"], 5.0) == ["", "", ""]
        await theirs.send_all(json_frame(ANSWER, {"id": asked[0]["id"], "result": [7, "b", 8]}))
        await wait_all_tasks_blocked()
        assert [one["method"] for one in asked] == ["acquire", "release"]
        assert asked[1]["arguments"] == [[["one", 7], ["three", 8]]]
        nursery.cancel_scope.cancel()
