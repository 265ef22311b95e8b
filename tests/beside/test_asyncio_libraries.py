"""Hooks that await asyncio libraries: in a loop in a thread, and by trio-asyncio; and anyio, which runs on trio."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import ModuleType

import anyio
import pytest
import trio
from trio.testing import wait_all_tasks_blocked
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

import wsframe
from tests.beside import programs
from tests.examples.running import program_running
from wsframe import Client, Registry, Resource, Timeouts
from wsframe.backplane import (
    MemoryBackplane,
    MemoryHub,
    Position,
    PostgresBackplane,
    RedisBackplane,
    RelayBackplane,
)  # fmt: skip
from wsframe.centrifuge import CentrifugeResource
from wsframe.testing import ClientClosed, open_client, open_cluster, open_kit
from wsframe.testing.fixtures import client_factory, server_factory


@pytest.fixture
def program() -> ModuleType:
    return programs.load("asyncio_library")


@pytest.mark.parametrize("name", ["asyncio_library", "trio_asyncio_library"])
def test_the_programs_serve(name: str) -> None:
    """In processes of their own: trio-asyncio changes asyncio for all of the process it is imported in."""
    command = [sys.executable, "-m", "wsframe", "serve", str(programs.FOLDER / f"{name}.py"), "--port", "0"]
    with program_running(*command) as address:
        for _ in range(2):
            with connect(f"ws{address.removeprefix('http')}/words", proxy=None) as client:
                client.send("tree")
                assert client.recv(60) == "tree found"
                client.send("")
                with pytest.raises(ConnectionClosedError, match="1011"):
                    client.recv(60)


async def test_a_hook_awaits_the_library(program: ModuleType) -> None:
    async with open_client(program.Words()) as client:
        client.send_text("tree")
        assert await client.receive_text() == "tree found"


async def test_an_error_of_the_library_is_one_of_the_hook(program: ModuleType) -> None:
    async with open_kit(program.Words()) as kit:
        client = await kit.connect()
        client.send_text("")
        with pytest.raises(ClientClosed) as closed:
            await client.receive_text()
        assert closed.value.code == 1011
        other = await kit.connect()
        other.send_text("tree")
        assert await other.receive_text() == "tree found"


async def test_the_time_of_a_hook_bounds_the_library_too(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    async def never(word: str) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return word

    monkeypatch.setattr(program, "look_up", never)
    async with open_client(program.Words(), timeouts=Timeouts(hook=0.05)) as client:
        client.send_text("tree")
        with pytest.raises(ClientClosed):
            await client.receive_text()
        assert await trio.to_thread.run_sync(ended.wait, 60)


async def test_no_thread_is_left(program: ModuleType) -> None:
    async with open_client(program.Words()):
        pass
    assert "asyncio" not in {thread.name for thread in threading.enumerate()}


class Slow(Resource):
    """Awaits things of anyio."""

    async def received_text(self, client: Client, message: str) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.answer, client, message)
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep_forever()
        client.send_text(f"{scope.cancelled_caught}")
        client.send_text(await anyio.to_thread.run_sync(message.upper))

    async def answer(self, client: Client, message: str) -> None:
        await anyio.sleep(0.001)
        client.send_text(message)


async def test_anyio_works_in_hooks() -> None:
    async with open_client(Slow()) as client:
        client.send_text("tree")
        assert [await client.receive_text() for _ in range(3)] == ["tree", "True", "TREE"]


def test_anyio_can_start_the_loop_on_trio() -> None:
    async def main() -> str:
        registry = Registry(alone=True)
        registry.register("/", Slow())
        async with wsframe.open_server(registry, port=0) as server, wsframe.connect(server.addresses[0]) as websocket:
            await websocket.send_text("tree")
            return str(await websocket.receive())

    assert anyio.run(main, backend="trio") == "tree"


def test_anyio_on_asyncio_is_told_where_to_go() -> None:
    async def main() -> None:
        async with wsframe.open_server(port=0):
            await wait_all_tasks_blocked()

    with pytest.raises(RuntimeError, match=r"start it with trio\.run"):
        anyio.run(main, backend="asyncio")


HERE = "127.0.0.1"


class Nobody:
    """Hears nothing of a backplane."""

    def message(self, topic: str, payload: bytes, sender: str, position: Position | None) -> None: ...
    def wanted(self, topic: str, position: Position | None) -> None: ...
    def gap(self, topic: str | None) -> None: ...
    def reach(self, up: bool) -> None: ...


async def entered(manager: AbstractAsyncContextManager[object]) -> None:
    async with manager:
        pass


def registry_of(number: int) -> Registry:
    return Registry(alone=True)


class Channels(CentrifugeResource[None]):
    """Is asked from outside of trio."""


WAITS: dict[str, Callable[[Slow, wsframe.Server], Awaitable[object]]] = {
    "call": lambda slow, server: slow.call(print),
    "closed": lambda slow, server: server.closed(),
    "service_statistics": lambda slow, server: server.service_statistics(),
    "presence": lambda slow, server: server.presence("topic"),
    "newest": lambda slow, server: server.newest("topic"),
    "since": lambda slow, server: server.since("topic", Position(0, 0)),
    "resume": lambda slow, server: server.resume(None, "topic"),  # type: ignore[arg-type]
    "client_factory": lambda slow, server: entered(client_factory()),
    "server_factory": lambda slow, server: entered(server_factory()),
    "open_cluster": lambda slow, server: entered(open_cluster(registry_of)),
    "open_backplane": lambda slow, server: entered(wsframe.open_backplane(f"redis://{HERE}:1")),
    "connect_forever": lambda slow, server: entered(wsframe.connect_forever(f"ws://{HERE}:1/")),
    "memory": lambda slow, server: MemoryBackplane(MemoryHub()).run("node", Nobody()),
    "relay": lambda slow, server: RelayBackplane("nowhere").run("node", Nobody()),
    "redis": lambda slow, server: RedisBackplane(f"redis://{HERE}:1").run("node", Nobody()),
    "postgresql": lambda slow, server: PostgresBackplane(f"postgresql://{HERE}:1/x").run("node", Nobody()),
    "add_subscription": lambda slow, server: Channels().add_subscription(None, "news"),  # type: ignore[arg-type]
    "remove_subscription": lambda slow, server: Channels().remove_subscription(None, "news"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("wait", WAITS)
def test_waiting_under_asyncio_says_where_to_go(wait: str) -> None:
    slow = Slow()
    registry = Registry(alone=True)
    registry.register("/", slow)

    async def main(server: wsframe.Server) -> None:
        await WAITS[wait](slow, server)

    told = r"not a task of trio.*wsframe.serving\(\).*start_guest_run"
    with wsframe.serving(registry, port=0) as server, pytest.raises(RuntimeError, match=told):
        asyncio.run(main(server))
