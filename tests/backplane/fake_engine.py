"""An engine in memory whose connections fail on demand, for the supervision under a fake clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from itertools import count

import trio

from wsframe.backplane.engines.engine import EngineLink, EnginePublication, Take
from wsframe.backplane.engines.supervised import SupervisedBackplane
from wsframe.backplane.interface import Kept, Position
from wsframe.backplane.queue import LIMIT
from wsframe.testing.backplanes import Node
from wsframe.user_code.protected_nursery import ProtectedNursery

__all__ = ["FakeEngine", "FakeLink", "nodes"]


class FakeEngine:
    """A broker, and the switches for its faults."""

    name = "fake://engine"

    def __init__(self) -> None:
        self.links: list[FakeLink] = []
        self.attempts = 0
        self.failure: BaseException | None = None
        """Raised by each attempt to connect."""
        self.frozen = False
        """Requests wait for ever, and nothing is delivered."""
        self.stalled = trio.Event()
        """Publications of more than a probe wait for it."""
        self.stalled.set()
        self.deaf = False
        """Links that are open receive nothing, and do not know."""
        self.losing: set[bytes] = set()
        """Payloads that are lost on their way."""
        self.refusing: BaseException | None = None
        """Raised by each publication."""
        self.refusing_kept: BaseException | None = None
        """Raised by each batch with messages to keep, after the others of it have gone out."""
        self.denying: BaseException | None = None
        """Raised by each request for leases."""
        self.delay = 0.0
        """Seconds until a request for leases is answered."""
        self.leases: dict[str, int] = {}
        self.tokens = count(1)
        self.subscribed_at_once: list[int] = []
        self.positions: dict[str, Position] = {}
        self.newest_waits = trio.Event()
        self.newest_waits.set()

    def redacted(self, error: BaseException) -> str:
        return str(error)

    @asynccontextmanager
    async def connect(self, take: Take) -> AsyncIterator[EngineLink]:
        self.attempts += 1
        await trio.lowlevel.checkpoint()
        if self.failure is not None:
            raise self.failure
        link = FakeLink(self, take)
        async with ProtectedNursery() as nursery:
            nursery.start_soon(link.until_killed)
            self.links.append(link)
            try:
                yield link
                nursery.cancel()
            finally:
                self.links.remove(link)

    def kill(self) -> None:
        """End all connections."""
        for link in self.links:
            link.killed.set()

    def send(self, topic: str, data: bytes) -> None:
        """Deliver to each connection that has the topic."""
        for link in self.links:
            if topic in link.topics and not self.deaf:
                link.take(topic, data)


class FakeLink:
    """One connection."""

    def __init__(self, engine: FakeEngine, take: Take) -> None:
        self.engine = engine
        self.take = take
        self.topics: set[str] = set()
        self.killed = trio.Event()

    async def until_killed(self) -> None:
        await self.killed.wait()
        raise ConnectionError("killed")

    async def _request(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.engine.frozen:
            await trio.sleep_forever()

    async def subscribe(self, topics: Collection[str]) -> None:
        await self._request()
        self.engine.subscribed_at_once.append(len(topics))
        self.topics.update(topics)

    async def unsubscribe(self, topics: Collection[str]) -> None:
        await self._request()
        self.topics.difference_update(topics)

    async def publish(self, batch: Sequence[EnginePublication]) -> None:
        await self._request()
        if len(batch) > 1:
            await self.engine.stalled.wait()
        if self.engine.refusing is not None:
            raise self.engine.refusing
        refused = [one for one in batch if one.keep is not None] if self.engine.refusing_kept is not None else []
        for one in batch:
            if one not in refused and not any(one.body.endswith(lost) for lost in self.engine.losing):
                self.engine.send(one.topic, one.head.encode() + one.body)
        if refused and self.engine.refusing_kept is not None:
            raise self.engine.refusing_kept

    async def newest(self, topic: str) -> Position:
        await self._request()
        return self.engine.positions.setdefault(topic, Position(1, 0))

    async def kept(self, topic: str) -> tuple[Position, list[Kept]]:
        return await self.newest(topic), []

    async def positions(self, topics: Sequence[str]) -> list[Position | None]:
        await self._request()
        await self.engine.newest_waits.wait()
        return [self.engine.positions.get(topic) for topic in topics]

    async def since(self, topic: str, position: Position, limit: int) -> list[Kept] | None:
        await self._request()
        raise RuntimeError("the fake engine keeps nothing")

    async def _lease_request(self) -> None:
        await self._request()
        await trio.sleep(self.engine.delay)
        if self.engine.denying is not None:
            raise self.engine.denying

    async def acquire(self, node: str, keys: Sequence[str], seconds: float) -> list[int | str]:
        await self._lease_request()
        leases = self.engine.leases
        free = [key for key in keys if key not in leases]
        leases.update((key, next(self.engine.tokens)) for key in free)
        return [leases[key] if key in free else "another" for key in keys]

    async def renew(self, keys: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        await self._lease_request()
        return [True] * len(keys)

    async def release(self, keys: Sequence[tuple[str, int]]) -> None:
        await self._lease_request()
        for key, token in keys:
            if self.engine.leases.get(key) == token:
                del self.engine.leases[key]


@asynccontextmanager
async def nodes(engine: FakeEngine, *names: str, limit: int = LIMIT) -> AsyncIterator[list[Node]]:
    """Run a node of each name."""
    async with trio.open_nursery() as nursery:
        running = [Node(name, SupervisedBackplane(engine, limit=limit)) for name in names]
        for node in running:
            await nursery.start(node.backplane.run, node.name, node.told)
        yield running
        nursery.cancel_scope.cancel()
