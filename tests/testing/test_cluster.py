"""A cluster of servers in memory: faults of any seed lose nothing without telling."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

import wsframe
from wsframe import Client, Registry, Resource
from wsframe.testing import Cluster, MemoryClient, open_cluster

COUNT = 100
"""Messages, ten a second."""
SEEDS = range(int(os.environ.get("WSFRAME_SIMULATION_SEEDS", "50")))
"""The session ``simulate`` of nox takes more."""


class Feed(Resource):
    """Subscribes its clients to a topic, and tells them where messages are missing."""

    scope = "shared"

    async def client_connected(self, client: Client) -> None:
        self.subscribe(client, "feed")

    async def missed(self, topic: str) -> None:
        self.broadcast_text("missed")


def make(number: int) -> Registry:
    registry = Registry(alone=True)
    registry.register("/", Feed(), wsframe.any_origin)
    return registry


async def listen(client: MemoryClient, heard: list[str]) -> None:
    """Note all messages of a client until it ends."""
    while True:
        try:
            heard.append(str(await client.receive()))
        except wsframe.testing.ClientClosed:
            return


async def publish_numbers(cluster: Cluster, count: int) -> None:
    for number in range(count):
        cluster.nodes[0].server.publish_text("feed", str(number))
        await trio.sleep(0.1)


def check(heard: list[str]) -> None:
    """Check that the numbers grow, by more than one only where that was told."""
    last, told = -1, True
    for text in heard:
        if text == "missed":
            told = True
            continue
        number = int(text)
        assert number == last + 1 or (told and number > last), f"{number} after {last}, told: {told}"
        last, told = number, False


@pytest.mark.parametrize("seed", SEEDS)
async def test_each_hole_is_told_before_the_next_message(seed: int, autojump_clock: MockClock) -> None:
    async with open_cluster(make, nodes=3, seed=seed) as cluster, trio.open_nursery() as nursery:
        heard: list[list[str]] = [[], [], []]
        for node in cluster.nodes:
            nursery.start_soon(listen, await node.connect(patience=1000), heard[node.number])
        nursery.start_soon(publish_numbers, cluster, COUNT)
        await cluster.disturb(COUNT / 10, spare=cluster.nodes)
        cluster.nodes[0].server.publish_text("feed", str(COUNT))
        await cluster.settle()
        for one in heard:
            check(one)
            assert one[-1] == str(COUNT), one[-5:]
        assert heard[0].count("missed") < len(heard[0])  # its own messages reach it without the relay
        nursery.cancel_scope.cancel()


class Register(Resource):
    """Counts the hooks of its clients."""

    scope = "shared"

    def __init__(self, number: int, calls: list[tuple[int, str, int]]) -> None:
        self.number = number
        self.calls = calls

    async def client_connected(self, client: Client) -> None:
        self.calls.append((self.number, "connected", id(client.request)))

    async def disconnected(self, client: Client) -> None:
        self.calls.append((self.number, "disconnected", id(client.request)))


async def visit(cluster: Cluster, kept: list[object]) -> None:
    """Connect again and again, to any node."""
    while True:
        await trio.sleep(cluster.random.uniform(0, 1))
        node = cluster.random.choice(cluster.nodes)
        with suppress(RuntimeError, wsframe.testing.ClientClosed, wsframe.testing.Refused):
            kept.append(await node.connect())


@pytest.mark.parametrize("seed", SEEDS[:10])
async def test_each_client_is_disconnected_once_even_by_crashes(seed: int, autojump_clock: MockClock) -> None:
    calls: list[tuple[int, str, int]] = []
    kept: list[object] = []

    def make(number: int) -> Registry:
        registry = Registry(alone=True)
        registry.register("/", Register(number, calls), wsframe.any_origin)
        return registry

    async with open_cluster(make, nodes=3, seed=seed) as cluster, trio.open_nursery() as nursery:
        nursery.start_soon(visit, cluster, kept)
        await cluster.disturb(30, ["crash"])
        nursery.cancel_scope.cancel()
    connected = [number for number, hook, _ in calls if hook == "connected"]
    disconnected = [number for number, hook, _ in calls if hook == "disconnected"]
    assert connected
    assert sorted(connected) == sorted(disconnected)


async def test_a_node_that_is_down_says_how_to_start_it(autojump_clock: MockClock) -> None:
    async with open_cluster(make) as cluster:
        node = cluster.nodes[1]
        await node.crash()
        await node.crash()
        assert not node.up
        with pytest.raises(RuntimeError, match=r"node 1 is down: start it again with cluster.start\(node\)"):
            await node.connect()
        await cluster.start(node)
        await cluster.start(node)
        await cluster.settle()
        client = await node.connect()
        await cluster.settle()
        cluster.nodes[0].server.publish_text("feed", "hello")
        assert await client.receive() == "hello"


async def test_a_cut_node_hears_of_the_hole_when_it_is_back(autojump_clock: MockClock) -> None:
    async with open_cluster(make) as cluster:
        near, far = cluster.nodes
        client = await far.connect()
        await cluster.settle()
        far.cut()
        near.server.publish_text("feed", "lost")
        await trio.sleep(3)
        far.join()
        assert await client.receive() == "missed"
        near.server.publish_text("feed", "found")
        assert await client.receive() == "found"


async def test_a_stalled_link_loses_nothing(autojump_clock: MockClock) -> None:
    async with open_cluster(make) as cluster:
        near, far = cluster.nodes
        client = await far.connect()
        await cluster.settle()
        far.stall(10)
        begun = trio.current_time()
        near.server.publish_text("feed", "late")
        assert await client.receive() == "late"
        assert trio.current_time() - begun >= 10


async def test_a_relay_that_was_killed_is_a_hole_for_all(autojump_clock: MockClock) -> None:
    async with open_cluster(make) as cluster:
        clients = [await node.connect() for node in cluster.nodes]
        cluster.kill_relay()
        await trio.sleep(1)
        cluster.start_relay()
        for client in clients:
            assert await client.receive() == "missed"


async def test_the_cluster_gives_the_backplane() -> None:
    with pytest.raises(TypeError, match="leave it out"):
        async with open_cluster(make, backplane=None):
            raise AssertionError


async def test_an_error_of_the_body_comes_out_as_it_is(autojump_clock: MockClock) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_cluster(make):
            raise ZeroDivisionError
