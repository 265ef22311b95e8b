"""A cluster of servers in memory: clients whose resource lives on another node are carried there, whatever fails."""

from __future__ import annotations

import os
from contextlib import suppress
from random import Random

import pytest
import trio
from trio.testing import MockClock

import wsframe
from wsframe import Client, Registry, Request, Resource
from wsframe.testing import ClientClosed, Cluster, MemoryClient, Node, Refused, open_cluster

SEEDS = range(0, 50, 5)
if "WSFRAME_SIMULATION_SEEDS" in os.environ:  # by the session simulate of nox
    SEEDS = range(int(os.environ["WSFRAME_SIMULATION_SEEDS"]))
SETTINGS = wsframe.Cluster(lease_seconds=2.0)
SECONDS = 4.0
ROOMS = 3


class Echo(Resource):
    """Answers with its node, its token and the message; broadcasts what begins with an exclamation mark."""

    scope = "path"

    def __init__(self, node: int) -> None:
        self.node = node

    async def received_text(self, client: Client, message: str) -> None:
        if message == "flood":
            for _ in range(16):
                client.send_binary(bytes(64 * 1024))
            return
        answer = f"{self.node} {self.ownership.token} {message}"
        if message.startswith("!"):
            self.broadcast_text(answer)
        else:
            client.send_text(answer)


def make(number: int) -> Registry:
    def room(request: Request) -> Resource:
        return Echo(number)

    registry = Registry(alone=True)
    registry.register_factory("/room/{name}", room, wsframe.any_origin, scope="path")
    return registry


async def ask(client: MemoryClient, message: str) -> tuple[int, int, str]:
    client.send_text(message)
    node, token, rest = str(await client.receive()).split(" ", 2)
    return int(node), int(token), rest


async def carried(cluster: Cluster, path: str) -> tuple[Node, Node, MemoryClient]:
    """Connect to a path through a node that does not have it; return its owner, that node, and the client."""
    first = await cluster.nodes[0].connect(path)
    owner, _, _ = await ask(first, "who")
    edge = next(node for node in cluster.nodes if node.number != owner)
    client = await edge.connect(path)
    assert (await ask(client, "who"))[0] == owner
    return cluster.nodes[owner], edge, client


async def test_a_client_is_carried_to_the_owner_from_any_node(autojump_clock: MockClock) -> None:
    async with open_cluster(make, nodes=3, cluster=SETTINGS) as cluster:
        clients = [await node.connect("/room/a") for node in cluster.nodes]
        assert len({(await ask(client, "hello"))[:2] for client in clients}) == 1
        clients[0].send_text("!all")
        assert len({await client.receive() for client in clients}) == 1


async def test_a_carried_client_hears_nothing_more_of_an_owner_that_was_cut_off(autojump_clock: MockClock) -> None:
    async with open_cluster(make, nodes=3, cluster=SETTINGS) as cluster:
        owner, edge, client = await carried(cluster, "/room/a")
        owner.cut()
        client.send_text("lost")
        newer = None
        with trio.fail_after(30):
            while newer is None:
                await trio.sleep(0.5)
                with suppress(Refused):
                    newer = await edge.connect("/room/a")
        assert (await ask(newer, "who"))[0] != owner.number
        with pytest.raises(ClientClosed, match="1012"):
            await client.receive()
        owner.join()


async def test_a_carried_client_of_a_node_that_was_killed_ends(autojump_clock: MockClock) -> None:
    async with open_cluster(make, nodes=3, cluster=SETTINGS) as cluster:
        owner, _, client = await carried(cluster, "/room/a")
        await owner.crash()
        with pytest.raises(ClientClosed):
            await client.receive()


async def test_a_stalled_peer_link_loses_no_message_of_a_carried_client(autojump_clock: MockClock) -> None:
    async with open_cluster(make, nodes=2, cluster=SETTINGS) as cluster:
        owner, _, client = await carried(cluster, "/room/a")
        owner.stall(0.5)
        begun = trio.current_time()
        for number in range(10):
            client.send_text(str(number))
        heard = [str(await client.receive()).split()[2] for _ in range(10)]
        assert heard == [str(number) for number in range(10)]
        assert trio.current_time() - begun >= 0.5


async def test_a_carried_client_that_reads_nothing_costs_the_others_nothing(autojump_clock: MockClock) -> None:
    async with open_cluster(make, nodes=2, cluster=SETTINGS) as cluster:
        _, edge, client = await carried(cluster, "/room/a")
        stalled = await edge.connect("/room/a", bytes_per_second=0)
        stalled.send_text("flood")
        begun = trio.current_time()
        for number in range(20):
            assert (await ask(client, f"!{number}"))[2] == f"!{number}"
        assert trio.current_time() == begun


class Heard:
    """The newest token of each path, and all faults."""

    def __init__(self) -> None:
        self.answers = 0
        self.calm = False
        self.tokens: dict[str, int] = {}
        self.stale: list[str] = []

    def note(self, path: str, token: int) -> None:
        self.answers += 1
        if self.calm and token < self.tokens.get(path, 0):
            self.stale.append(f"{path}: {token} after {self.tokens[path]}")
        self.tokens[path] = max(token, self.tokens.get(path, 0))


async def talk(cluster: Cluster, random: Random, path: str, heard: Heard) -> None:
    """Send numbers through any node for ever, again with each connection, and check all answers of one in order."""
    while True:
        await trio.sleep(random.uniform(0.2, 1))
        with suppress(RuntimeError, ClientClosed, Refused, trio.TooSlowError):
            client = await random.choice(cluster.nodes).connect(path, patience=20)
            expected, owner = 0, None
            for number in range(random.randrange(1, 12)):
                client.send_text(str(number))
                if random.random() < 0.5:  # and several at once
                    await trio.sleep(random.uniform(0, 0.3))
                    continue
                while expected <= number:
                    node, token, rest = str(await client.receive()).split()
                    assert int(rest) == expected, "in order, without a hole"
                    owner = owner or (node, token)
                    assert owner == (node, token), "a connection has one owner"
                    heard.note(path, int(token))
                    expected += 1


@pytest.mark.parametrize("seed", SEEDS)
async def test_each_carried_client_keeps_order_and_owner_whatever_fails(seed: int, autojump_clock: MockClock) -> None:
    random, heard = Random(seed), Heard()
    async with (
        open_cluster(make, nodes=3, seed=seed, cluster=SETTINGS) as cluster,
        trio.open_nursery() as nursery,
    ):
        stalled = [await cluster.random.choice(cluster.nodes).connect("/room/0", bytes_per_second=0) for _ in range(2)]
        for client in stalled:
            client.send_text("flood")
        for number in range(ROOMS + 1):
            nursery.start_soon(talk, cluster, random, f"/room/{number % ROOMS}", heard)
        await cluster.disturb(SECONDS)
        heard.calm = True
        before = heard.answers
        await trio.sleep(5)
        assert heard.answers > before
        assert heard.stale == [], "no answer of an older owner"
        nursery.cancel_scope.cancel()
