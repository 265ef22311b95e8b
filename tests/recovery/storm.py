"""A storm: numbers flow over two servers and one Redis, all of which fail in turn, while clients are cut at random.

The servers publish, the clients check that each sequence is whole and without repeats, or that they are told exactly
where it is not. Each step waits for publications, not for a time: a slow machine takes longer, and the outcome is
the same.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import trio

from tests.backplane.redis_server import RedisServer, redis_server
from tests.recovery.ledger import Ledger, Place
from tests.recovery.nodes import Node
from tests.recovery.program import feed
from tests.recovery.readers import Crowd
from tests.requirements import NODE, require_node

__all__ = ["Plan", "Storm", "storm"]

SDK_READERS = Path(__file__).with_name("sdk_readers.cjs")
POLL = 0.05


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The size of a storm."""

    clients: int
    sdks: int
    rate: float
    """Publications a second of both servers together."""
    channels: int
    kept: int
    """Publications of a channel that are kept."""
    late: int
    """Publications of a channel on their way, by which its history can be shorter than the account has it."""
    flow: int
    """Publications between two faults."""
    frozen: float
    """Seconds for which Redis stands still."""
    away: int
    """Clients that stay away for longer than the history."""
    cut_every: float
    """Seconds between two cuts."""
    patience: float
    """Seconds for a step."""


class Storm:
    """The servers and the clients of one run.

    Args:
        plan: Its size.
        redis: The Redis server, which runs.
    """

    def __init__(self, plan: Plan, redis: RedisServer) -> None:
        self.plan = plan
        self.redis = redis
        self.ledger = Ledger(plan.kept, plan.late)
        self.channels = [feed(number) for number in range(plan.channels)]
        self.crowd = Crowd(self.ledger, plan.clients, self.channels, Random(1))
        self.nodes = [Node(name, redis.url, plan.rate / 2, plan.kept, plan.channels) for name in ("one", "two")]
        self.sdks: trio.Process | None = None
        self.sdk_report: dict[str, Any] = {}
        self.node_counts: dict[str, int] = {}
        self.settled_in = 0.0
        """Seconds from the end of the cuts until all clients had all publications."""

    # Steps

    async def begin(self) -> None:
        """Start the servers."""
        for node in self.nodes:
            await node.start()
        await self.changed()

    async def changed(self) -> None:
        """Tell the clients which servers there are."""
        alive = [node for node in self.nodes if node.url]
        self.crowd.addresses = [node.address for node in alive]
        await self.tell_sdks({"urls": [node.url for node in alive]})

    async def until(self, condition: Callable[[], object], words: str) -> None:
        """Wait until a condition holds, or a client has seen something that must not be."""
        with trio.move_on_after(self.plan.patience):
            while not condition():
                if self.ledger.failures:
                    return
                await trio.sleep(POLL)
            return
        self.ledger.fail(f"in vain: {words}; {self.ledger.counts}")

    async def flow(self, count: int | None = None) -> None:
        """Wait until so many publications more have come."""
        wanted = len(self.ledger.truth) + (self.plan.flow if count is None else count)
        await self.until(lambda: len(self.ledger.truth) >= wanted, f"{wanted} publications")

    async def kill_a_server(self) -> None:
        """Kill a server, and start it again a while later."""
        node = self.nodes[1]
        node.kill()
        node.url = ""
        await self.changed()
        await self.flow()
        await node.start()
        await self.changed()
        await self.flow()

    async def freeze_redis(self) -> None:
        """Have Redis stand still."""
        self.redis.freeze()
        await trio.sleep(self.plan.frozen)
        self.redis.thaw()
        await self.flow()

    async def stay_away(self) -> None:
        """Have some clients miss more than is kept: each is told so."""
        away = self.crowd.readers[: self.plan.away]
        for reader in away:
            reader.held = True
            reader.cut()
        before = [reader.refusals for reader in away]
        await self.flow((self.plan.kept + 20) * self.plan.channels)
        for reader in away:
            reader.held = False
            self.crowd.soon(reader)

        def all_told() -> bool:
            return all(reader.refusals > times for reader, times in zip(away, before, strict=True))

        await self.until(all_told, "clients that were away for longer than the history are told so")

    async def empty_redis(self) -> None:
        """Have Redis lose its memory: all are told so, and nobody goes on in the wrong place."""
        epochs = {place.epoch for place in self.ledger.truth}
        self.redis.kill()
        self.redis.start()
        await self.flow()
        if {place.epoch for place in self.ledger.truth} == epochs:
            self.ledger.fail("Redis began again without its data, and no epoch was a new one")

    async def settle(self) -> None:
        """Have nothing more be published, and wait until all clients are at the same place."""
        began = trio.current_time()
        for node in self.nodes:
            await node.ask("hush")
        newest = {channel: await self.nodes[0].newest(channel) for channel in self.channels}

        def those_behind() -> list[str]:
            readers = enumerate(self.crowd.readers)
            return [f"{number}: {one}" for number, one in readers if not one.live or one.place != newest[one.channel]]

        await self.until(lambda: not those_behind(), "all clients have the last publication")
        self.ledger.failures += those_behind()[:20]
        self.settled_in = trio.current_time() - began
        await self.end_sdks(newest)
        for node in self.nodes:
            for name, number in (await node.ask("counts")).items():
                self.node_counts[name] = self.node_counts.get(name, 0) + number
            await node.stop()

    # Clients of npm

    async def start_sdks(self) -> None:
        """Start the SDK's clients in a process of their own."""
        environment = {**os.environ, "NODE_PATH": str(NODE / "node_modules")}
        numbers = map(str, (self.plan.sdks, self.plan.kept - self.plan.late, self.plan.channels))
        command = [require_node(), str(SDK_READERS), *numbers]
        self.sdks = await trio.lowlevel.open_process(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        await self.changed()

    async def tell_sdks(self, order: dict[str, Any]) -> None:
        if self.sdks is not None:
            assert self.sdks.stdin is not None
            await self.sdks.stdin.send_all(json.dumps(order).encode() + b"\n")

    async def end_sdks(self, newest: dict[str, Place]) -> None:
        """Have the SDK's clients reach these places, and take their account."""
        if self.sdks is None:
            return
        await self.tell_sdks({"end": {channel: place._asdict() for channel, place in newest.items()}})
        assert self.sdks.stdout is not None
        said = b""
        with trio.move_on_after(self.plan.patience):
            async for data in self.sdks.stdout:
                said += data
        self.sdk_report = json.loads(said or b'{"failures": ["the clients of npm say nothing"]}')
        self.ledger.failures += self.sdk_report["failures"]

    async def run(self) -> None:
        """Do all steps."""
        await self.begin()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.crowd.run)
            if self.plan.sdks:
                await self.start_sdks()
            await self.until(lambda: all(one.live for one in self.crowd.readers), "all are subscribed")
            async with trio.open_nursery() as cutting:
                cutting.start_soon(self.crowd.cut_at_random, self.plan.cut_every)
                await self.flow()
                await self.kill_a_server()
                await self.freeze_redis()
                await self.stay_away()
                await self.empty_redis()
                cutting.cancel_scope.cancel()
            await self.tell_sdks({"calm": True})
            await self.settle()
            nursery.cancel_scope.cancel()

    async def close(self) -> None:
        """End all processes."""
        if self.sdks is not None:
            self.sdks.kill()
            await self.sdks.wait()
        for node in self.nodes:
            node.close()


@asynccontextmanager
async def storm(plan: Plan, folder: Path) -> AsyncIterator[Storm]:
    """Run a storm to its end."""
    with redis_server(folder) as redis:
        made = Storm(plan, redis)
        try:
            await made.run()
            yield made
        finally:
            with trio.CancelScope(shield=True):
                await made.close()
