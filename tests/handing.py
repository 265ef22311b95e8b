"""Two servers of one test, of which one goes on with the clients of the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, cast

import trio

import wsframe
from tests.local_server import local_server_of
from tests.patience import PATIENCE
from tests.recorder import Recorder
from wsframe.backplane.memory import MemoryBackplane, MemoryHub
from wsframe.hooks.hand_over import Given, HandOver, dismiss
from wsframe.hooks.listener import Listener
from wsframe.hooks.take_over import Taken, TakeOver
from wsframe.hooks.thawed_hosts import NO_PLACE
from wsframe.net.sockets import Endpoint

BOUND = PATIENCE

__all__ = ["Goer", "GoerByClient", "give", "hand_over", "life_of", "take", "two_servers"]


class Goer(Recorder):
    """Notes its hooks, echoes text, counts it, and takes its count and its clients along."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.lives: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.journal.add("begins")
        try:
            yield
        finally:
            self.journal.add("ends")

    async def client_connected(self, client: wsframe.Client) -> None:
        client.data = f"data of {client.id}"
        await super().client_connected(client)

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        await super().received_text(client, message)
        self.count += 1
        client.send_text(message)

    async def received_custom(self, message: object) -> None:
        self.journal.add(f"custom {message}")

    async def hand_over(self) -> bytes:
        self.journal.add(f"hands over {len(self.clients)}")
        return str(self.count).encode()

    async def take_over(self, state: bytes) -> None:
        self.count = int(state)
        self.journal.add(f"takes over, clients: {len(self.clients)}")

    def restore_client(self, client: wsframe.Client, state: Any) -> None:
        super().restore_client(client, state)
        self.journal.add("restored")


class GoerByClient(Goer):
    ordering = "client"


def life_of(resource: wsframe.Resource) -> Listener:
    assert resource._listener is not None
    return cast(Listener, resource._listener)


on_the_way: ContextVar[list[Endpoint]] = ContextVar("on_the_way")
"""The sockets that a test has handed over."""


@contextmanager
def closed_at_the_end() -> Iterator[None]:
    """Close what no server has taken, where a test fails: its garbage would make a later test fail too."""
    on_the_way.set([])
    try:
        yield
    finally:
        for sock in on_the_way.get():
            sock.close()


@asynccontextmanager
async def two_servers(
    old: wsframe.Resource, new: wsframe.Resource, hub: MemoryHub | None = None, **options: Any
) -> AsyncIterator[tuple[wsframe.Server, wsframe.Server]]:
    """Serve an old and a new object at ``/``, each in a server of its own; with a hub they share topics."""
    planes = [None if hub is None else MemoryBackplane(hub) for _ in range(2)]
    with closed_at_the_end(), trio.fail_after(BOUND):
        registries = wsframe.Registry(), wsframe.Registry()
        for registry, resource in zip(registries, (old, new), strict=True):
            registry.register("/", resource)
        async with (
            wsframe.open_server(registries[0], port=0, backplane=planes[0], **options) as first,
            wsframe.open_server(registries[1], port=0, backplane=planes[1], **options) as second,
        ):
            yield first, second


async def give(server: wsframe.Server, resource: wsframe.Resource, seconds: float = 10) -> Given | None:
    giving = HandOver(life_of(resource), local_server_of(server).reactor)
    await giving.settle()
    given = await giving.pack(trio.current_time() + seconds)
    on_the_way.get().extend(() if given is None else (one.sock for one in given.clients))
    return given


async def take(
    server: wsframe.Server, resource: wsframe.Resource, given: Given, say_mine: Callable[[], bool] = lambda: True
) -> TakeOver:
    life = life_of(resource)
    life.join()
    clients = [Taken(one.sock, one.frozen, cast(Any, NO_PLACE)) for one in given.clients]
    taking = TakeOver(life, local_server_of(server).reactor, given.state, clients, say_mine, given.positions)
    await taking.done.wait()
    return taking


async def hand_over(
    servers: tuple[wsframe.Server, wsframe.Server], old: wsframe.Resource, new: wsframe.Resource
) -> bool:
    """Move the clients from one object to another; return whether that succeeded."""
    life = life_of(old)
    given = await give(servers[0], old)
    if given is None:
        return False
    taking = await take(servers[1], new, given)
    if not taking.taken:
        dismiss(given.clients, life, local_server_of(servers[0]).reactor)
    return taking.taken
