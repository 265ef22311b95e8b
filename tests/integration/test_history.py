"""Clients that are cut at random, over several servers: each sequence is whole, or is told where it is not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from trio.testing import MockClock

import wsframe
from wsframe import Client, Registry, Resource
from wsframe.backplane import History, Position
from wsframe.backplane.hub import TopicHistory
from wsframe.resources.topics.publication import unwrap_publication
from wsframe.testing import Cluster, MemoryClient, open_cluster

SEEDS = range(max(1, int(os.environ.get("WSFRAME_SIMULATION_SEEDS", "50")) // 25))
"""The session ``simulate`` of nox takes more."""
CLIENTS = 10
SECONDS = 20
RATE = 10
"""Messages a second."""


class Feed(Resource):
    """Takes the position of a client, and sends it all messages after that: ``ok``, or ``at`` and another position."""

    scope = "shared"

    async def received_text(self, client: Client, message: str) -> None:
        since = Position(*map(int, message.split())) if message else None
        recovery = await self.server.resume(client, "feed", since)
        if recovery.position is None:
            client.close()
        elif recovery.publications is None:
            client.send_text("at {} {}".format(*recovery.position))
        else:
            client.send_text("ok")
            for one in recovery.publications:
                client.send_text(one.message)

    async def snapshot(self, client: Client, topic: str) -> None:
        position = (await self.server.resume(client, topic)).position
        assert position is not None
        client.send_text("at {} {}".format(*position))


class Listener:
    """A client that counts, and checks each message against the engine's own record."""

    def __init__(self, truth: dict[Position, str]) -> None:
        self.truth = truth
        self.position: Position | None = None
        self.lost = 0
        """How often it was told that messages are missing, but for the first time."""
        self.received = 0

    def take(self, message: str) -> None:
        if message.startswith("at "):
            position = Position(*map(int, message[3:].split()))
            if self.position not in (None, position):
                self.lost += 1
                # Its server can have been further behind than the client: then all of its clients begin again.
                assert self.position.epoch != position.epoch or position.offset > self.position.offset
            self.position = position
        elif message != "ok":
            assert self.position is not None
            self.position = self.position._replace(offset=self.position.offset + 1)
            assert self.truth[self.position] == message
            self.received += 1

    async def hear(self, client: MemoryClient) -> None:
        client.send_text("" if self.position is None else "{} {}".format(*self.position))
        while True:
            self.take(str(await client.receive()))

    async def run(self, cluster: Cluster, calm: trio.Event) -> None:
        """Connect to any node, and again whenever the connection has ended, by the server or by chance."""
        while True:
            node = cluster.random.choice(cluster.nodes)
            try:
                client = await node.connect(patience=1_000)
                with trio.move_on_after(float("inf") if calm.is_set() else cluster.random.uniform(0, 6)):
                    await self.hear(client)
                client.reset()
            except (RuntimeError, wsframe.testing.ClientClosed, wsframe.testing.Refused):
                pass
            await trio.sleep(cluster.random.uniform(0, 2))


@contextmanager
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[Position, str]]:
    """Record the text at each position, as the hub gives it."""
    truth: dict[Position, str] = {}
    append = TopicHistory.append

    def recording(log: TopicHistory, sender: str, payload: bytes, keep: History, now: float) -> Position:
        position = append(log, sender, payload, keep, now)
        truth[position] = str(unwrap_publication(payload, sender, position).message)
        return position

    monkeypatch.setattr(TopicHistory, "append", recording)
    yield truth


async def publish(cluster: Cluster, keep: History) -> None:
    for number in range(SECONDS * RATE):
        node = cluster.random.choice(cluster.nodes)
        if node.up:
            node.server.publish_text("feed", str(number), history=keep)
        await trio.sleep(1 / RATE)


def make(number: int) -> Registry:
    registry = Registry(alone=True)
    registry.register("/", Feed(), wsframe.any_origin)
    return registry


async def simulate(seed: int, keep: History, faults: list[str], truth: dict[Position, str]) -> list[Listener]:
    """Return the listeners after a time of faults, all of which have caught up."""
    listeners = [Listener(truth) for _ in range(CLIENTS)]
    calm = trio.Event()
    async with open_cluster(make, nodes=3, seed=seed) as cluster, trio.open_nursery() as nursery:
        for listener in listeners:
            nursery.start_soon(listener.run, cluster, calm)
        nursery.start_soon(publish, cluster, keep)
        await cluster.disturb(SECONDS, faults)  # type: ignore[arg-type]
        calm.set()
        await trio.sleep(30)
        newest = await cluster.nodes[0].server.newest("feed")
        assert [listener.position for listener in listeners] == [newest] * CLIENTS
        nursery.cancel_scope.cancel()
    return listeners


@pytest.mark.parametrize("seed", SEEDS)
async def test_nobody_misses_a_message_that_is_kept(
    seed: int, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recorded(monkeypatch) as truth:
        keep = History(messages=10_000, seconds=600)
        listeners = await simulate(seed, keep, ["cut", "stall", "crash"], truth)
    assert len(truth) > SECONDS * RATE / 3
    assert [listener.lost for listener in listeners] == [0] * CLIENTS
    assert sum(listener.received for listener in listeners) > CLIENTS * len(truth) / 2


@pytest.mark.parametrize("seed", SEEDS)
async def test_messages_that_are_not_kept_and_a_relay_that_forgets_are_told(
    seed: int, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recorded(monkeypatch) as truth:
        listeners = await simulate(seed, History(messages=5), ["cut", "stall", "crash", "relay"], truth)
    assert sum(listener.lost for listener in listeners) > 0
    assert sum(listener.received for listener in listeners) > len(truth)
