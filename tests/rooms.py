"""Rooms that factories make: resources that note their lives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from typing import cast

import trio

import wsframe
from tests.patience import PATIENCE
from tests.recorder import Recorder
from wsframe import Registry, Reject, Request
from wsframe.connection.flusher import Flusher
from wsframe.hooks.listener import Listener, Surroundings
from wsframe.hooks.listeners import Roster
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS
from wsframe.user_code.protected_nursery import ProtectedNursery

BOUND = PATIENCE
NO_SERVER = cast("wsframe.Server", None)


class Room(Recorder):
    """Knows its path, and notes when it starts and ends; ``leaving`` holds up its end."""

    def __init__(self, path: str, log: list[str] | None = None) -> None:
        super().__init__()
        self.path = path
        self.log = [] if log is None else log
        self.leaving = trio.Event()
        self.leaving.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.log.append(f"start {self.path}")
        yield
        await self.leaving.wait()
        self.log.append(f"end {self.path}")

    async def client_connected(self, client: wsframe.Client) -> None:
        await super().client_connected(client)
        client.send(f"{self.path}, {len(self.clients)} here")


class Rooms:
    """A factory that notes the objects it made."""

    def __init__(self) -> None:
        self.made: list[Room] = []
        self.log: list[str] = []

    def make(self, request: Request) -> Room | None:
        name = request.path_params.get("room", request.path)
        if name == "none":
            return None
        if name == "rejected":
            raise Reject(410, body="closed for good")
        if name == "broken":
            raise KeyError(name)
        if name == "wrong":
            return cast("Room", object())
        self.made.append(Room(request.path, self.log))
        return self.made[-1]


@asynccontextmanager
async def opened(registry: Registry) -> AsyncIterator[wsframe.Server]:
    with trio.fail_after(BOUND):
        async with wsframe.open_server(registry, port=0) as server:
            yield server


class Rig:
    """A roster with listeners but no server."""

    def __init__(self, registry: Registry, nursery: ProtectedNursery) -> None:
        around = Surroundings(server=NO_SERVER, limits=DEFAULT_LIMITS, timeouts=DEFAULT_TIMEOUTS, flusher=Flusher())
        self.roster = Roster([registry], partial(Listener, around=around), nursery)
        self.roster.watch()

    async def come(self, path: str) -> Listener:
        """Come as a newcomer."""
        request = Request(path, [])
        found = self.roster.registries.answer(request)
        assert found is not None
        return await self.roster.join_when_ready(found[0].resource, request)

    async def get_in(self, path: str) -> Listener:
        """Come as a client that is let in."""
        listener = await self.come(path)
        listener.seats.empty_since = inf  # as welcome() does
        return listener


async def resources_gone(server: wsframe.Server, count: int = 0) -> None:
    while server.statistics().resources > count:  # noqa: ASYNC110
        await trio.sleep(0.005)
