"""The factories of the pytest plugin: their servers and clients live until the end of the test.

A fixture and its test run in different tasks, and the task that enters a nursery must leave it.
So a task of the fixture keeps each server open.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeVar, Unpack, cast

import trio

from wsframe.doorbell import check_trio
from wsframe.resources.server import Server
from wsframe.server.options import ServeKeywords
from wsframe.server.run import open_server
from wsframe.testing.client import MemoryClient
from wsframe.testing.kit import ClientOptions, Kit, OpenOptions, Target, open_kit, registry_for
from wsframe.user_code.errors import only_leaf

__all__ = ["ClientFactory", "ServerFactory", "client_factory", "server_factory"]

ValueT = TypeVar("ValueT")


class ServerFactory(Protocol):
    """The fixture ``wsframe_server``: serves until the end of the test, on a free port of loopback."""

    async def __call__(self, target: Target, path: str = "/", **options: Unpack[ServeKeywords]) -> Server:
        """Serve a registry, or a resource at ``path``, with the options of :func:`wsframe.serve`."""


class ClientFactory(Protocol):
    """The fixture ``wsframe_client``: connects in-memory clients that stay until the end of the test."""

    async def __call__(self, target: Target, path: str = "/", **options: Unpack[OpenOptions]) -> MemoryClient:
        """Connect a client as :func:`open_client` does; clients of the same ``target`` share one server.

        Raises:
            TypeError: For a server option, if the server of ``target`` is already running.
        """


class Keeper:
    """Keeps context managers open, each in its own task, until the test is over."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._over = trio.Event()

    async def enter(self, manager: AbstractAsyncContextManager[ValueT]) -> ValueT:
        """Enter a context manager and return its value; leave it at the end of the test."""
        value: ValueT = await self._nursery.start(self._keep, manager)
        return value

    async def _keep(self, manager: AbstractAsyncContextManager[ValueT], task_status: trio.TaskStatus[ValueT]) -> None:
        async with manager as value:
            task_status.started(value)
            await self._over.wait()

    def let_go(self) -> None:
        """Leave all context managers."""
        self._over.set()


@asynccontextmanager
async def open_keeper() -> AsyncIterator[Keeper]:
    try:
        async with trio.open_nursery() as nursery:
            keeper = Keeper(nursery)
            yield keeper
            keeper.let_go()
    except Exception as error:
        raise only_leaf(error) from None


@asynccontextmanager
async def server_factory() -> AsyncIterator[ServerFactory]:
    """Make the value of ``wsframe_server``."""
    check_trio()
    async with open_keeper() as keeper:

        async def serve(target: Target, path: str = "/", **options: Unpack[ServeKeywords]) -> Server:
            options.setdefault("port", 0)
            return await keeper.enter(open_server(registry_for(target, path), **options))

        yield serve


@asynccontextmanager
async def client_factory() -> AsyncIterator[ClientFactory]:
    """Make the value of ``wsframe_client``."""
    check_trio()
    kits: dict[int, Kit] = {}
    async with open_keeper() as keeper:

        async def connect(target: Target, path: str = "/", **options: Unpack[OpenOptions]) -> MemoryClient:
            of_client = {name: value for name, value in options.items() if name in ClientOptions.__annotations__}
            of_server = {name: value for name, value in options.items() if name not in of_client}
            kit = kits.get(id(target))
            if kit is None:
                kit = kits[id(target)] = await keeper.enter(open_kit(target, path, **cast(ServeKeywords, of_server)))
            elif of_server:
                raise TypeError(f"{', '.join(of_server)}: the server is already running; pass this to the first client")
            return await kit.connect(path, **cast(ClientOptions, of_client))

        yield connect
