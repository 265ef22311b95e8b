"""A relay with an engine behind it: the workers of a machine, and the link that they share, under a fake engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path

import pytest
import trio

from tests.backplane.fake_engine import FakeEngine
from tests.backplane.fake_engine import nodes as direct
from tests.backplane.relays import relay
from tests.patience import PATIENCE
from wsframe.backplane.engines import session
from wsframe.backplane.engines.engine import BackplaneRefused
from wsframe.backplane.engines.supervised import SupervisedBackplane
from wsframe.backplane.interface import Backplane, History, Lease, Position
from wsframe.backplane.relay.backplane import RelayBackplane
from wsframe.testing.backplanes import Node, PublishConformance, Recording

pytestmark = pytest.mark.skipif(not hasattr(trio, "open_unix_socket"), reason="no unix sockets here")


async def reached(path: Path) -> None:
    """Wait until a relay has reached its engine."""
    told = Recording()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(RelayBackplane(str(path)).run, "probe", told)
        await told.until(lambda: told.reached and told.reached[-1])
        nursery.cancel_scope.cancel()


class TestTwoMachines(PublishConformance):
    """Each other node is a worker of another machine."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Callable[[], Backplane]]:
        engine = FakeEngine()
        paths = [self.folder / "r1", self.folder / "r2"]
        async with (
            relay(paths[0], engine=SupervisedBackplane(engine)),
            relay(paths[1], engine=SupervisedBackplane(engine)),
        ):
            for path in paths:
                await reached(path)
            machine = cycle(paths)
            yield lambda: RelayBackplane(str(next(machine)))


class TestOneMachine(TestTwoMachines):
    """All nodes are workers of one machine."""

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Callable[[], Backplane]]:
        path = self.folder / "r"
        async with relay(path, engine=SupervisedBackplane(FakeEngine())):
            await reached(path)
            yield lambda: RelayBackplane(str(path))


@asynccontextmanager
async def machine(path: Path, engine: FakeEngine, *names: str) -> AsyncIterator[list[Node]]:
    """Run a relay that links workers to an engine."""
    with trio.fail_after(PATIENCE):
        async with relay(path, engine=SupervisedBackplane(engine)), trio.open_nursery() as nursery:
            running = [Node(name, RelayBackplane(str(path))) for name in names]
            for node in running:
                await nursery.start(node.backplane.run, node.name, node.told)
            yield running
            nursery.cancel_scope.cancel()


async def up(*nodes: Node) -> None:
    for node in nodes:
        await node.told.until(lambda node=node: node.told.reached and node.told.reached[-1])  # type: ignore[misc]


async def test_workers_of_a_machine_share_one_connection_and_each_topic_is_subscribed_once(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with machine(tmp_path / "r", engine, "a", "b", "c") as nodes, direct(engine, "far") as (far,):
        await up(*nodes)
        assert len(engine.links) == 2
        before = len(engine.subscribed_at_once)
        for node in nodes:
            await node.want("t")
        assert len(engine.subscribed_at_once) == before + 1
        far.backplane.publish("t", b"x")
        for node in nodes:
            await node.told.until(lambda node=node: node.told.messages)  # type: ignore[misc]
        nodes[0].backplane.unwant(["t"])
        nodes[1].backplane.unwant(["t"])
        await nodes[1].want("u")
        assert any("t" in link.topics for link in engine.links)
        nodes[2].backplane.unwant(["t"])
        await nodes[2].want("v")
        assert not any("t" in link.topics for link in engine.links)


async def test_workers_go_on_among_themselves_while_the_engine_is_away(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with machine(tmp_path / "r", engine, "a", "b") as (a, b):
        await up(a, b)
        await b.want("t")
        engine.failure = OSError("away")
        engine.kill()
        await a.told.until(lambda: a.told.reached == [True, False])
        b.backplane.want(["wanted meanwhile"])
        for number in range(100):
            assert a.backplane.publish("t", bytes([number]))
        await b.told.until(lambda: len(b.told.messages) == 100)
        assert b.told.gaps == []
        await b.told.until(lambda: b.told.reached == [True, False])
        assert await a.backplane.newest("t") is None
        a.backplane.publish("wanted meanwhile", b"x")
        await b.told.until(lambda: b.told.payloads("wanted meanwhile"))
        engine.failure = None
        await b.told.until(lambda: len(b.told.wants) == 3)
        assert b.told.gaps == [None]
        assert b.told.reached == [True, False, True]
        assert a.backplane.publish("t", b"after")
        await b.told.until(lambda: b.told.payloads("t")[-1] == b"after")


async def test_a_frozen_engine_holds_up_no_message_between_workers(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with machine(tmp_path / "r", engine, "a", "b") as (a, b):
        await up(a, b)
        await b.want("t")
        engine.frozen = True
        for number in range(1_000):  # 20 MB, and the link to the engine has room for 8
            assert a.backplane.publish("t", b"%d " % number + bytes(20_000))
            await b.told.until(lambda number=number: len(b.told.messages) > number)  # type: ignore[misc]
        assert b.told.gaps == []
        engine.frozen = False


async def test_a_message_with_history_is_refused_while_the_engine_is_away(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with machine(tmp_path / "r", engine, "a") as (a,):
        await up(a)
        assert a.backplane.publish("t", b"x", keep=History())
        engine.failure = OSError("away")
        engine.kill()
        await a.told.until(lambda: a.told.reached == [True, False])
        assert not a.backplane.publish("t", b"x", keep=History())
        assert a.backplane.publish("t", b"x")


async def test_a_message_with_history_is_refused_while_the_engine_does_not_keep_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be lost in the relay, and its publisher would not know."""
    monkeypatch.setattr(session, "LOOKS", 1000)  # the engine is slow, and not away, however slow the machine is
    monkeypatch.setattr(session, "PUBLISHED_WITHIN", 100)
    engine = FakeEngine()
    async with machine(tmp_path / "r", engine, "a", "b") as (a, b):
        await up(a, b)
        await b.want("t")
        engine.stalled = trio.Event()
        queued = 0
        while a.backplane.publish("kept", b"x", keep=History()):
            queued += 1
            await trio.lowlevel.checkpoint()
        assert queued > 5_000
        assert a.backplane.publish("t", b"without history")
        await b.told.until(lambda: b.told.messages)
        engine.stalled.set()
        while not a.backplane.publish("kept", b"x", keep=History()):  # noqa: ASYNC110
            await trio.sleep(0.01)
        assert a.told.reached == [True]
    assert "is lost" not in caplog.text


async def test_what_a_worker_could_not_publish_is_a_gap_on_other_machines_too(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with machine(tmp_path / "r", engine, "a") as (a,), direct(engine, "far") as (far,):
        await up(a)
        await far.want("lost", "other")
        again = RelayBackplane(str(tmp_path / "r"))
        assert not again.publish("lost", b"x")  # it has no relay yet
        async with trio.open_nursery() as nursery:
            await nursery.start(again.run, "b", Recording())
            await far.told.until(lambda: far.told.gaps == ["lost"])
            again._unwritten = {None: None}
            nursery.cancel_scope.cancel()
        async with trio.open_nursery() as nursery:
            await nursery.start(again.run, "b", Recording())
            await far.told.until(lambda: far.told.gaps == ["lost", None])
            nursery.cancel_scope.cancel()


async def test_messages_that_the_engine_lost_are_a_gap_at_each_worker(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with machine(tmp_path / "r", engine, "a", "b") as (a, b), direct(engine, "far") as (far,):
        await up(a, b)
        for node in (a, b):
            await node.want("t")
        engine.losing.add(b"lost")
        for payload in (b"first", b"lost", b"third"):
            far.backplane.publish("t", payload)
        for node in (a, b):
            await node.told.until(lambda node=node: len(node.told.messages) == 2)  # type: ignore[misc]
            assert node.told.order[-3:] == ["message t", "gap t", "message t"]


async def test_leases_are_held_by_workers_and_not_by_their_relay(tmp_path: Path) -> None:
    engine = FakeEngine()
    holders = []

    async with machine(tmp_path / "r", engine, "worker 1", "worker 2") as nodes:
        await up(*nodes)
        for link in engine.links:
            acquire = link.acquire

            async def noting(node: str, keys: object, seconds: float, acquire: object = acquire) -> list[int | str]:
                holders.append(node)
                return await acquire(node, keys, seconds)  # type: ignore[operator, no-any-return]

            link.acquire = noting  # type: ignore[method-assign]
        for node in nodes:
            (lease,) = await node.backplane.acquire(["k"], 5.0)
            assert isinstance(lease, Lease)
            assert lease.token == nodes.index(node) + 1
            assert await node.backplane.renew([lease], 5.0) != [None]
            await node.backplane.release([lease])
        assert holders == ["worker 1", "worker 2"]


async def test_a_late_worker_is_told_the_position_that_the_topic_has_by_now(tmp_path: Path) -> None:
    engine = FakeEngine()
    async with machine(tmp_path / "r", engine, "a", "b", "c") as (a, b, c):
        await up(a, b, c)
        await a.want("t")
        assert a.told.wants == [("t", None)]
        first = await b.backplane.newest("t")
        assert first == Position(1, 0)
        await b.want("t")
        assert b.told.wants == [("t", first)]
        engine.send("t", b"1k" + b"%016x%016x" % (1, 1) + bytes(8) + b"\x03\x00far" + b"x")
        await c.want("t")
        assert c.told.wants == [("t", Position(1, 1))]
        assert await c.backplane.kept("t") == (Position(1, 0), [])


async def test_requests_that_the_engine_does_not_answer_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsframe.backplane.relay.worker.MOST_ASKED", 3)
    engine = FakeEngine()
    async with machine(tmp_path / "r", engine, "a") as (a,):
        await up(a)
        engine.frozen = True
        found: list[Position | None] = []

        async def ask() -> None:
            found.append(await a.backplane.newest("t"))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask)
        assert found == [None] * 10


async def test_a_lease_is_asked_for_however_many_requests_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsframe.backplane.relay.worker.MOST_ASKED", 0)
    async with machine(tmp_path / "r", FakeEngine(), "a") as (a,):
        await up(a)
        assert isinstance((await a.backplane.acquire(["key"], 5.0))[0], Lease)


async def test_an_engine_that_refuses_the_first_relay_ends_it(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.failure = BackplaneRefused("a wrong password")
    with pytest.RaisesGroup(BackplaneRefused, flatten_subgroups=True), trio.fail_after(PATIENCE):
        async with relay(tmp_path / "r", engine=SupervisedBackplane(engine)):
            await trio.sleep_forever()


async def test_an_engine_that_refuses_a_later_relay_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("wsframe.backplane.relay_process.RETRY", 0.01)
    engine = FakeEngine()
    engine.failure = BackplaneRefused("a wrong password")
    told = Recording()
    with trio.fail_after(PATIENCE):
        async with (
            relay(tmp_path / "r", engine=SupervisedBackplane(engine), forgetful=True),
            trio.open_nursery() as nursery,
        ):
            await nursery.start(RelayBackplane(str(tmp_path / "r")).run, "a", told)
            while engine.attempts < 3:  # noqa: ASYNC110
                await trio.sleep(0.01)
            assert told.reached == []
            engine.failure = None
            await told.until(lambda: told.reached == [True])
            nursery.cancel_scope.cancel()
    assert caplog.text.count("a wrong password; trying again") == 1
