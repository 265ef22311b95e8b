"""The leases of a worker that was killed: its successor has its partitions at once, and not after a lease."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import trio

import wsframe
from tests.patience import PATIENCE
from tests.server.owners import Cuttable
from tests.wire import connected, until
from tests.workers.services import Service
from wsframe import Client, Registry, Resource
from wsframe.backplane import MemoryHub

if not hasattr(socket, "SOCK_SEQPACKET"):
    pytest.skip("this system has no SOCK_SEQPACKET", allow_module_level=True)


class Room(Resource):
    def __init__(self) -> None:
        self.tokens: list[int] = []

    async def client_connected(self, client: Client) -> None:
        self.tokens.append(self.ownership.token)
        client.send_text(str(self.ownership.token))


async def token_at(server: wsframe.Server) -> int:
    async with connected(server) as peer:
        return int(await peer.receive_text())


@pytest.mark.parametrize("left_by", ["killed", "killed twice", "another one"])
async def test_a_successor_has_the_partitions_of_a_killed_worker_at_once_with_greater_tokens(left_by: str) -> None:
    """No time passes here by which leases end. A token of a lease that is not there any more does no harm."""
    now = 100.0

    def register(registry: Registry, slot: int) -> None:
        registry.register("/", Room(), wsframe.any_origin)

    hub = MemoryHub(clock=lambda: now)
    service, tokens = Service(1, register), list[int]()
    words = service.board.tokens
    try:
        with trio.fail_after(PATIENCE):
            for _ in range(3 if left_by == "killed twice" else 2):
                plane: Any = Cuttable(hub)
                async with trio.open_nursery() as nursery:
                    server = await service.start(0, nursery, backplane=plane)
                    tokens.append(await token_at(server))
                    await until(lambda: all(words))
                    before = list(words)
                    plane.cut()  # as a process that is killed, it gives nothing back
                    service.engines[0].hurry()
                for partition, token in enumerate(before):
                    words[partition] = token + 1 if left_by == "another one" else token
                service.registries[0] = registry = Registry(alone=True)
                register(registry, 0)
                if left_by == "another one":
                    now += 10
    finally:
        service.close()
    assert tokens == sorted(set(tokens))


async def test_a_worker_that_ends_in_order_leaves_no_tokens() -> None:
    def register(registry: Registry, slot: int) -> None:
        registry.register("/", Room(), wsframe.any_origin)

    service = Service(1, register)
    try:
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                await token_at(await service.start(0, nursery, backplane=Cuttable(MemoryHub())))
                await until(lambda: all(service.board.tokens))
                service.engines[0].drain()
        assert not any(service.board.tokens)
    finally:
        service.close()
