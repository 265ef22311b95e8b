"""User code that runs in any task of a server, such as a handler of the log, cannot cancel the tasks beside it."""

from __future__ import annotations

import ast
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

import wsframe
from tests.backplane.fake_engine import FakeEngine
from tests.centrifuge.speaking import speaking
from tests.handing import Goer
from tests.net.test_pump_loop import opened
from tests.patience import PATIENCE
from tests.server.owners import owners
from tests.user_code.acts import ActingHandler, cancel_all_above, cancel_parent, leave_cancelled, set_shield
from tests.wire import close, connected, text
from wsframe import Client, Registry, Resource
from wsframe.backplane.engines.supervised import SupervisedBackplane
from wsframe.centrifuge import CentrifugeResource
from wsframe.net.peer_header import PeerGate
from wsframe.server.peers.peer_port import PeerPort
from wsframe.testing import open_kit
from wsframe.user_code.locked_scope import FORBIDDEN

PACKAGE = Path(wsframe.__file__).parent

acting = pytest.mark.parametrize("act", [cancel_parent, set_shield, cancel_all_above, leave_cancelled])

BARE = {
    "backplane/relay_process.py": "a process without user code",
    "backplane/relay/worker.py": "a process without user code",
    "workers/supervisor.py": "a process without user code",
    "server/service/service.py": "a process without user code",
    "outgoing/connect.py": "the nursery of a user's task",
    "outgoing/link.py": "the nursery of a user's task",
    "outgoing/reconnect.py": "the nursery of a user's task",
    "user_code/protected_nursery.py": "it protects this one",
}


def test_each_nursery_of_a_server_is_protected() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(("cli/", "testing/")):
            calls = (one.func for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.Call))
            if any(isinstance(one, ast.Attribute) and one.attr == "open_nursery" for one in calls):
                found.add(name)
    assert found == set(BARE)


OF_TESTS = ["wsframe.server.local_server.LocalServer.serve"]
"""Tasks that a test starts in a nursery of its own."""


class Canceller(trio.abc.Instrument):
    """Cancels the nursery of each task of wsframe at its first step, and those that the task has open at any."""

    def __init__(self) -> None:
        self.told: set[str] = set()
        self.protected: set[str] = set()
        """Names of tasks."""
        self.bare: set[str] = set()
        """Names of tasks whose nursery could be cancelled."""

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        name = task.name
        if not name.startswith("wsframe.") or name.startswith("wsframe.testing."):
            return
        nurseries = [one for one in task.child_nurseries if not is_of_start(one)]
        if name not in self.protected and name not in OF_TESTS:
            above = task.eventual_parent_nursery or task.parent_nursery
            assert above is not None
            nurseries.append(above)
        for nursery in nurseries:
            try:
                nursery.cancel_scope.cancel()
            except RuntimeError as error:
                self.told.add(str(error))
                self.protected.add(name)
            else:
                self.bare.add(name)


def is_of_start(nursery: trio.Nursery) -> bool:
    """Return whether a nursery is one in which trio starts a task, before it is in its own."""
    return not nursery.child_tasks or any(task.eventual_parent_nursery for task in nursery.child_tasks)


@contextmanager
def cancelling() -> Iterator[Canceller]:
    canceller = Canceller()
    trio.lowlevel.add_instrument(canceller)
    try:
        yield canceller
    finally:
        trio.lowlevel.remove_instrument(canceller)


class Feed(Resource):
    """Subscribes its clients to a topic."""

    scope = "shared"

    async def client_connected(self, client: Client) -> None:
        self.subscribe(client, "feed")

    async def received_text(self, client: Client, message: str) -> None:
        self.publish_text("feed", message)


def feed() -> Registry:
    registry = Registry(alone=True)
    registry.register("/", Feed(), wsframe.any_origin)
    return registry


async def share_resources() -> None:
    async with owners("a", "b") as servers:
        client = await servers.kits["a"].connect("/one", patience=1000)
        client.send_text("hello")
        assert await client.receive_text() == "hello"
        await trio.sleep(1)
        servers.kits["a"].server.close(lame_duck=1)
        await trio.sleep(5)
        other = await servers.kits["b"].connect("/one", patience=1000)
        other.send_text("hello")
        assert await other.receive_text() == "hello"


async def use_an_engine() -> None:
    async with open_kit(feed(), backplane=SupervisedBackplane(FakeEngine())) as kit:
        client = await kit.connect()
        await trio.sleep(3)
        client.send_text("hello")
        assert await client.receive_text() == "hello"


async def keep_times() -> None:
    async with speaking(CentrifugeResource()) as kit:
        client = await kit.connect()
        assert tuple(await client.closed()) == (3502, "stale")


SERVER = ["serve", "Reactor._turn", "Histories._fill_topics", "Presences.run", "PumpLoop._carry", "PumpLoop._keep_time"]


@pytest.mark.parametrize(
    ("use", "names"),
    [
        (
            share_resources,
            ["OwnedPartitions._acquire_free", "Giving.run", "Giving.give", "NodeLeases._watch", "Reports.run", "end"],
        ),
        (
            use_an_engine,
            ["EngineSession._write", "EngineSession._follow_wants", "EngineSession._probe_again_and_again"],
        ),
        (keep_times, ["Tasks._run"]),
    ],
)
async def test_no_task_of_a_server_can_be_cancelled_by_its_nursery(
    autojump_clock: MockClock, use: Callable[[], Awaitable[None]], names: list[str]
) -> None:
    with cancelling() as canceller:
        await use()
    assert canceller.bare == set()
    assert canceller.told == {FORBIDDEN}
    ends = tuple(f".{name}" for name in canceller.protected)
    assert [name for name in (*SERVER, *names) if not any(end.endswith(f".{name}") for end in ends)] == []


@pytest.mark.skipif(not hasattr(socket, "SOCK_SEQPACKET"), reason="this system has no SOCK_SEQPACKET")
async def test_no_task_of_two_generations_can_be_cancelled_by_its_nursery() -> None:
    from tests.server.service.test_generation import two

    with cancelling() as canceller:
        async with two({"/": Goer()}, {"/": Goer()}) as (first, second), connected(first.server) as peer:
            await peer.send(text("1"))
            assert await peer.receive_text() == "1"
            await first.leave(tell=second)
            await peer.send(text("2"))
            assert await peer.receive_text() == "2"
            await peer.send(close(1000))
    names = {name.rsplit(".", 1)[1] for name in canceller.protected}
    assert canceller.bare == set()
    assert canceller.told == {FORBIDDEN}
    assert {"_beat", "_tell_end", "_take_offer", "_take_life", "_leave_shared", "leave_one", "end"} <= names, names


@acting
async def test_a_handler_of_the_log_costs_an_owner_of_partitions_a_line(
    autojump_clock: MockClock, log: logging.Logger, act: Callable[[], None]
) -> None:
    log.addHandler(handler := ActingHandler(lambda: None if trio.lowlevel.current_task() is test else act()))
    test = trio.lowlevel.current_task()  # "cut" logs in this task, whose nursery is the user's
    async with owners("a", "b") as servers:
        for _ in range(2):
            await servers.kits["a"].connect("/one", patience=1000)
            servers.planes["a"].cut()
            await trio.sleep(10)
            servers.planes["a"].join()
            await trio.sleep(10)
            before = handler.acted
            servers.planes["b"].cut()
            await trio.sleep(10)
            servers.planes["b"].join()
            await trio.sleep(10)
            assert handler.acted > before
        for name in ("a", "b"):
            assert servers.owned(name).here
            assert servers.kits[name].server.unready() == ""


@acting
async def test_a_handler_of_the_log_costs_a_backplane_a_line(
    autojump_clock: MockClock, log: logging.Logger, act: Callable[[], None]
) -> None:
    engine = FakeEngine()
    async with open_kit(feed(), backplane=SupervisedBackplane(engine)) as kit:
        client = await kit.connect()
        await trio.sleep(3)
        log.addHandler(handler := ActingHandler(act))
        for turn in range(2):
            engine.kill()
            await trio.sleep(3)
            client.send_text(f"{turn}")
            assert await client.receive_text() == f"{turn}"
        assert handler.acted >= 2


@acting
async def test_a_handler_of_the_log_costs_the_pumps_a_line(log: logging.Logger, act: Callable[[], None]) -> None:
    log.addHandler(handler := ActingHandler(act))
    async with opened(3) as (loop, (one, two, other)):

        def fail(data: memoryview) -> None:
            raise RuntimeError("a bug")

        for count, broken in enumerate((one, two), 1):
            broken.pump._seen = fail
            broken.owner.send(b"x")
            with trio.fail_after(PATIENCE):
                while len(loop) + count > 3:  # noqa: ASYNC110
                    await trio.sleep(0.001)
            await other.echo(b"still here")
        assert handler.acted == 2


@acting
async def test_a_handler_of_the_log_costs_the_peer_port_a_line(log: logging.Logger, act: Callable[[], None]) -> None:
    log.addHandler(handler := ActingHandler(act))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)

        async def has_room(newcomer: object) -> bool:
            return True

        port = PeerPort(listening, PeerGate("a", bytes(32), lambda: 0.0), lambda _: True, has_room, lambda _: True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(port.run)
            for _ in range(2):
                with trio.fail_after(PATIENCE):
                    stream = await trio.open_tcp_stream(*listening.getsockname())
                    await stream.send_all(bytes(1000))
                    with pytest.raises(trio.BrokenResourceError):
                        await stream.receive_some(1)
                    await stream.aclose()
            nursery.cancel_scope.cancel()
    assert handler.acted == 2
