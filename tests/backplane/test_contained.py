"""A backplane of the program's own that raises: it costs messages, and never the server."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.user_code.acts import leave_open
from tests.user_code.breaking import Echo, Panic, check_well, raising
from wsframe import Client
from wsframe.backplane import (
    Backplane,
    BackplaneRefused,
    History,
    Lease,
    MemoryBackplane,
    MemoryHub,
    Position,
    Told,
)
from wsframe.backplane.at_url import made_backplane
from wsframe.backplane.contained import FIRST_PAUSE, LONGEST_PAUSE, ContainedBackplane
from wsframe.testing import open_kit


class Own(MemoryBackplane):
    """Fails when it is told to."""

    def __init__(self, hub: MemoryHub | None = None) -> None:
        super().__init__(hub or MemoryHub())
        self.failing = trio.Event()
        self.fails: Callable[[], BaseException | None] = lambda: None
        """Makes the error of each call of ``run``; None for a plain return."""
        self.runs = 0
        self.broken: dict[str, BaseException] = {}
        """The errors of the other methods."""

    async def run(self, node: str, told: Told, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        self.runs += 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(super().run, node, told)
            await self.failing.wait()
            nursery.cancel_scope.cancel()
        error = self.fails()
        if error is not None:
            raise error

    def fail(self) -> None:
        """End this run, and let the next one last."""
        failing, self.failing = self.failing, trio.Event()
        failing.set()

    def at(self, name: str) -> None:
        if name in self.broken:
            raise self.broken[name]

    def publish(self, topic: str, payload: bytes, *, keep: History | None = None) -> bool:
        self.at("publish")
        return super().publish(topic, payload, keep=keep)

    def want(self, topics: Collection[str]) -> None:
        self.at("want")
        super().want(topics)

    def unwant(self, topics: Collection[str]) -> None:
        self.at("unwant")
        super().unwant(topics)


class Room(Echo):
    scope = "shared"

    def __init__(self) -> None:
        self.log: list[str] = []

    async def client_connected(self, client: Client) -> None:
        self.subscribe(client, "news")

    async def missed(self, topic: str) -> None:
        self.log.append(topic)


@raising
async def test_a_run_that_raises_is_called_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, make: Callable[[], BaseException]
) -> None:
    hub, room, other = MemoryHub(), Room(), Room()
    plane = Own(hub)
    plane.fails = make
    async with open_kit(room, backplane=plane) as kit, open_kit(other, backplane=MemoryBackplane(hub)) as there:
        client = await kit.connect()
        await wait_all_tasks_blocked()
        for _ in range(2):
            plane.fail()
            await trio.sleep(LONGEST_PAUSE)
        assert plane.runs == 3
        assert room.log == ["news", "news"], "missed, once for each failure"
        there.server.publish_text("news", "hello")
        assert await client.receive_text() == "hello"
        await check_well(kit)
    assert [record.levelname for record in caplog.records if "run() of Own" in record.message] == ["ERROR"] * 2


async def test_a_run_that_returns_is_called_again(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    plane = Own()
    async with open_kit(Room(), backplane=plane) as kit:
        plane.fail()
        await trio.sleep(2 * FIRST_PAUSE)
        assert plane.runs == 2
        await check_well(kit)
    assert "run() of Own ended; it is called again" in caplog.text


async def test_a_run_that_always_raises_is_logged_once_and_called_less_and_less_often(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    plane = Silent()
    async with open_kit(Room(), backplane=cast(Backplane, plane)) as kit:
        await trio.sleep(20 * LONGEST_PAUSE)
        assert 15 < plane.runs < 30
        await check_well(kit)
    assert caplog.text.count("run() of Silent") == 1


class Silent:
    """Knows nothing but the names of the methods that a backplane needs."""

    runs = 0

    async def run(self, node: str, told: Told, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        self.runs += 1
        raise OSError("no engine")

    def publish(self, topic: str, payload: bytes) -> object:
        return "yes"

    def want(self, topics: Collection[str]) -> None: ...
    def unwant(self, topics: Collection[str]) -> None: ...


async def test_a_server_is_not_ready_before_the_backplane_has_been_reached(autojump_clock: MockClock) -> None:
    async with open_kit(Room(), backplane=cast(Backplane, Silent())) as kit:
        assert kit.server.unready() == "backplane not reached yet"
        await check_well(kit)


async def test_a_run_that_is_refused_before_it_was_connected_ends_the_start(autojump_clock: MockClock) -> None:
    plane = Own()

    async def run(node: str, told: Told, *, task_status: Any = None) -> None:
        raise BaseExceptionGroup("of a nursery", [BackplaneRefused("wrong password")])

    plane.run = run  # type: ignore[method-assign]
    with pytest.raises(BackplaneRefused, match="wrong password"):
        async with open_kit(Room(), backplane=plane):
            await trio.sleep(1)


async def test_a_run_that_exits_drains_the_server(autojump_clock: MockClock) -> None:
    plane = Own()
    plane.fails = lambda: SystemExit(7)

    async def serve() -> None:
        async with open_kit(Room(), backplane=plane) as kit:
            client = await kit.connect()
            plane.fail()
            assert (await client.closed()).code == 1001

    with pytest.raises(SystemExit) as info:
        await serve()
    assert info.value.code == 7


async def test_a_run_that_leaves_a_scope_open_is_called_again(autojump_clock: MockClock) -> None:
    plane = Own()

    def act() -> None:
        leave_open()

    plane.fails = act
    async with open_kit(Room(), backplane=plane) as kit:
        plane.fail()
        await trio.sleep(2 * FIRST_PAUSE)
        assert plane.runs == 2
        await check_well(kit)


@pytest.mark.parametrize("name", ["publish", "want", "unwant"])
@raising
async def test_another_method_that_raises_costs_its_message(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, make: Callable[[], BaseException], name: str
) -> None:
    plane = Own()
    plane.broken[name] = make()
    async with open_kit(Room(), backplane=plane) as kit:
        client = await kit.connect()
        await wait_all_tasks_blocked()
        kit.server.publish_text("news", "hello")
        assert await client.receive_text() == "hello", "the subscribers here have it"
        client.close()
        await client.closed()
        await trio.sleep(60)  # until the topic is let go
        await check_well(kit)
    assert f"Own.{name} failed" in caplog.text


async def test_questions_that_raise_are_answered_with_nothing(autojump_clock: MockClock) -> None:
    class Broken(Own):
        def __getattribute__(self, name: str) -> Any:
            if name in ("since", "newest", "kept", "acquire", "renew", "release"):
                return self.fall
            return super().__getattribute__(name)

        async def fall(self, *args: object) -> None:
            await trio.lowlevel.checkpoint()
            raise Panic

    plane = ContainedBackplane(Broken())
    assert await plane.since("t", Position(1, 0), 9) is None
    assert await plane.newest("t") is None
    assert await plane.kept("t") is None
    assert await plane.acquire(["a", "b"], 5) == ["", ""]
    assert await plane.renew([Lease("a", 1, 0.0)], 5) == [None]
    await plane.release([Lease("a", 1, 0.0)])


async def test_a_method_that_a_backplane_lacks_is_not_implemented() -> None:
    plane = ContainedBackplane(cast(Backplane, Silent()))
    with pytest.raises(NotImplementedError, match="Silent has no method newest"):
        await plane.newest("t")
    assert plane.publish("t", b"") is True


def test_those_of_wsframe_contain_themselves() -> None:
    plane = MemoryBackplane(MemoryHub())
    assert made_backplane(plane) is plane
    assert not isinstance(made_backplane("redis://localhost"), ContainedBackplane)
    contained = made_backplane(Own())
    assert isinstance(contained, ContainedBackplane)
    assert made_backplane(contained) is contained
    assert repr(contained) == "<ContainedBackplane Own>"
