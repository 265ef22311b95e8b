"""Servers in memory that share resources by a backplane which can be cut."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import trio

import wsframe
from wsframe import Client, Registry, Resource
from wsframe.backplane import History, Lease, MemoryBackplane, MemoryHub, Position, Told
from wsframe.server.ownership.owned_partitions import OwnedPartitions
from wsframe.testing import Kit, open_kit


class Cuttable(MemoryBackplane):
    """A link to the others that can be cut; requests then fail after a moment, and messages are lost."""

    def __init__(self, hub: MemoryHub) -> None:
        super().__init__(hub)
        self.told: Any = None
        self.away = False
        self.denying = False
        """The engine refuses requests for leases, and carries messages."""
        self.requests: list[tuple[str, int]] = []
        """The requests for leases so far, each with the number of its keys."""

    async def run(self, node: str, told: Told, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        self.told = told
        await super().run(node, Filter(self, told), task_status=task_status)

    def cut(self) -> None:
        self.away = True
        self.told.reach(False)

    def join(self) -> None:
        self.away = False
        self.told.reach(True)

    def publish(self, topic: str, payload: bytes, *, keep: History | None = None) -> bool:
        return not self.away and super().publish(topic, payload, keep=keep)

    async def acquire(self, keys: Sequence[str], seconds: float) -> list[Lease | str]:
        self.requests.append(("acquire", len(keys)))
        await trio.sleep(0.001)
        return [""] * len(keys) if self.away or self.denying else await super().acquire(keys, seconds)

    async def renew(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        self.requests.append(("renew", len(leases)))
        await trio.sleep(0.001)
        return [None] * len(leases) if self.away or self.denying else await super().renew(leases, seconds)

    async def release(self, leases: Sequence[Lease]) -> None:
        self.requests.append(("release", len(leases)))
        await trio.sleep(0.001)
        if not (self.away or self.denying):
            await super().release(leases)


class Filter:
    """Passes reports on, but for messages while the link is cut."""

    def __init__(self, plane: Cuttable, told: Told) -> None:
        self._plane = plane
        self.wanted, self.gap, self.reach = told.wanted, told.gap, told.reach
        self._message = told.message

    def message(self, topic: str, payload: bytes, sender: str, position: Position | None) -> None:
        if not self._plane.away:
            self._message(topic, payload, sender, position)


class Diary:
    """Notes the lives and acts of all resources, and when each was."""

    def __init__(self) -> None:
        self.entries: list[tuple[float, str, str, int]] = []

    def note(self, server: str, act: str, token: int) -> None:
        self.entries.append((trio.current_time(), server, act, token))

    def acts(self, server: str) -> list[str]:
        return [act for _, by, act, _ in self.entries if by == server]

    def count(self, server: str, act: str) -> int:
        return self.acts(server).count(act)


class Room(Resource):
    """Notes all that it does, and ticks."""

    def __init__(self, server: str, diary: Diary) -> None:
        self.by = server
        self.diary = diary

    def note(self, act: str) -> None:
        self.diary.note(self.by, act, self.ownership.token)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.note("begin")
        self.start_soon(self.tick)
        try:
            yield
        finally:
            self.note("end")

    async def tick(self) -> None:
        while True:
            self.note("tick")
            await trio.sleep(0.2)

    async def client_connected(self, client: Client) -> None:
        self.note("connected")

    async def received_text(self, client: Client, message: str) -> None:
        self.note(message)
        if message == "wait":
            await trio.sleep(8)
            self.note("waited")
        if message == "hang":
            await trio.sleep_forever()
        client.send_text(message)

    async def disconnected(self, client: Client) -> None:
        self.note(f"disconnected {client.close_code}, lost: {self.ownership.lost}")


class Path(Room):
    """The same, for one of many paths."""

    scope = "path"


def registry_of(server: str, diary: Diary) -> Registry:
    registry = Registry(alone=True)
    registry.register("/one", Room(server, diary), wsframe.any_origin)
    registry.register_factory("/room/{name}", lambda request: Path(server, diary), wsframe.any_origin, scope="path")
    return registry


class Owners:
    """Some servers, by name."""

    def __init__(self) -> None:
        self.hub = MemoryHub()
        self.diary = Diary()
        self.kits: dict[str, Kit] = {}
        self.planes: dict[str, Cuttable] = {}

    def owned(self, name: str) -> OwnedPartitions:
        owned = self.kits[name].server._internals.owner.owned  # type: ignore[attr-defined]
        assert isinstance(owned, OwnedPartitions)
        return owned

    def owner(self, partition: int) -> list[str]:
        """Return the names of the servers that act for a partition now."""
        return [name for name in self.kits if self.owned(name).holds(partition)]

    def holds(self, name: str, path: str) -> bool:
        """Return whether a server has the partition of a path."""
        return self.owned(name).holds(self.partition(name, path))

    async def requests_during(self, seconds: float) -> list[tuple[str, int]]:
        """Return the requests for leases of a time, each with the number of its keys."""
        for plane in self.planes.values():
            plane.requests.clear()
        await trio.sleep(seconds)
        return [one for plane in self.planes.values() for one in plane.requests]

    def partition(self, name: str, path: str) -> int:
        """Return the partition of a path."""
        residence = self.kits[name].server._internals.roster.whereabouts.named(path)  # type: ignore[attr-defined]
        return int(residence.partition)

    @asynccontextmanager
    async def serving(self, name: str, **options: Any) -> AsyncIterator[Kit]:
        self.planes[name] = Cuttable(self.hub)
        async with open_kit(registry_of(name, self.diary), backplane=self.planes[name], **options) as kit:
            self.kits[name] = kit
            try:
                yield kit
            finally:
                del self.kits[name]


@asynccontextmanager
async def owners(*names: str, **options: Any) -> AsyncIterator[Owners]:
    """Serve with some servers."""
    all_of_them = Owners()
    async with AsyncExitStack() as stack:
        for name in names:
            await stack.enter_async_context(all_of_them.serving(name, **options))
        yield all_of_them
