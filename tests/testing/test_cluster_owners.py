"""A cluster of servers in memory: whatever fails, no resource has two owners that act at the same time."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from random import Random

import pytest
import trio
from trio.testing import MockClock

import wsframe
from wsframe import Client, Registry, Request, Resource
from wsframe.testing import ClientClosed, Cluster, Refused, open_cluster

SEEDS = range(int(os.environ.get("WSFRAME_SIMULATION_SEEDS", "50")))
"""The session ``simulate`` of nox takes more."""
PATHS = ["/one", *(f"/room/{number}" for number in range(5))]
LEASE = 2.0
SECONDS = 4.0


class Store:
    """Keeps a pair (token, n) for each path, and notes a token that is smaller than the one before."""

    def __init__(self) -> None:
        self.tokens: dict[str, int] = {}
        self.writes: dict[str, int] = {}
        self.refused: list[str] = []
        self.lives: dict[tuple[str, int], int] = {}
        """The number of lives that are between ``running()`` and its exit, by path and token."""

    def write(self, path: str, token: int, by: str) -> None:
        if token < self.tokens.get(path, 0):
            self.refused.append(f"{by} writes to {path} with {token} after {self.tokens[path]}")
        self.tokens[path] = token
        self.writes[path] = self.writes.get(path, 0) + 1


class Counter(Resource):
    """Writes to the store all the time: in a task, in hooks that wait for longer than a lease, and in posts."""

    def __init__(self, node: int, path: str, store: Store, random: Random) -> None:
        self.node = node
        self.path = path
        self.store = store
        self.random = random

    def write(self, by: str) -> None:
        self.store.write(self.path, self.ownership.token, f"{by} of node {self.node}")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        key = self.path, self.ownership.token
        self.store.lives[key] = self.store.lives.get(key, 0) + 1
        self.write("running()")
        self.start_soon(self.count)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.count)
                yield
                nursery.cancel_scope.cancel()
        finally:
            self.store.lives[key] -= 1

    async def count(self) -> None:
        while True:
            self.write("a task")
            await trio.sleep(self.random.uniform(0.5, 2))

    async def client_connected(self, client: Client) -> None:
        self.write("client_connected")
        client.start_soon(self.attend)

    async def attend(self) -> None:
        while True:
            await trio.sleep(self.random.uniform(0.5, 2 * LEASE))
            self.write("a client's task")

    async def received_text(self, client: Client, message: str) -> None:
        self.write("received_text")
        await trio.sleep(self.random.uniform(0, 1.5 * LEASE))
        self.write("received_text after a wait")
        self.post("posted")

    async def received_custom(self, message: object) -> None:
        self.write("received_custom")


class Room(Counter):
    scope = "path"


def maker(store: Store, random: Random) -> Callable[[int], Registry]:
    def make(number: int) -> Registry:
        def room(request: Request) -> Resource:
            return Room(number, request.path, store, random)

        registry = Registry(alone=True)
        registry.register("/one", Counter(number, "/one", store, random), wsframe.any_origin)
        registry.register_factory("/room/{name}", room, wsframe.any_origin, scope="path")
        return registry

    return make


async def visit(cluster: Cluster, random: Random, path: str) -> None:
    """Talk to a path for ever, through any node that lets the client in."""
    while True:
        await trio.sleep(random.uniform(0.5, 2))
        for node in random.sample(cluster.nodes, len(cluster.nodes)):
            with suppress(RuntimeError, ClientClosed, Refused, trio.TooSlowError):
                client = await node.connect(path)
                for number in range(random.randrange(4)):
                    client.send_text(str(number))
                    await trio.sleep(random.uniform(0.5, 2))


@pytest.mark.parametrize("seed", SEEDS)
async def test_invariant_1_no_two_owners_act_at_overlapping_times(seed: int, autojump_clock: MockClock) -> None:
    store, random = Store(), Random(seed)
    settings = wsframe.Cluster(lease_seconds=LEASE)
    async with (
        open_cluster(maker(store, random), nodes=3, seed=seed, cluster=settings) as cluster,
        trio.open_nursery() as nursery,
    ):
        for path in PATHS:
            nursery.start_soon(visit, cluster, random, path)
        await cluster.disturb(SECONDS)
        before = dict(store.writes)
        with trio.move_on_after(4 * LEASE):
            while any(store.writes.get(path, 0) == before.get(path, 0) for path in PATHS):  # noqa: ASYNC110
                await trio.sleep(LEASE / 4)
        assert store.refused == []
        assert all(store.writes.get(path, 0) > before.get(path, 0) for path in PATHS), "each path is served again"
        nursery.cancel_scope.cancel()
    assert not any(store.lives.values()), "each running() has been left"
