"""Newcomers of a partition that one server gives to another wait for its next owner, whichever server they come to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio

from tests.server.peer_servers import Nodes, Room, nodes, read
from wsframe import connect
from wsframe.server.peers import splice


async def until_waiting(service: Nodes, count: int) -> None:
    """Wait until each server has so many newcomers that wait for an owner."""
    while [service.peering(name).splices._waiting for name in "ab"] != [count, count]:  # noqa: ASYNC110
        await trio.sleep(0.002)


@pytest.fixture
def over(monkeypatch: pytest.MonkeyPatch) -> trio.Event:
    """Give the event that a life at ``a`` waits for at its end."""
    over = trio.Event()

    @asynccontextmanager
    async def running(self: Room) -> AsyncIterator[None]:
        yield
        if self.by == "a":
            await over.wait()

    monkeypatch.setattr(Room, "running", running)
    return over


async def test_newcomers_at_the_giver_and_at_the_taker_wait_for_the_end_of_the_last_life(over: trio.Event) -> None:
    async with nodes() as service, connect(service.url("a")) as client, AsyncExitStack() as stack:
        await client.receive()
        a, b = service.owner("a").owned, service.owner("b").owned
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.owner("a").giving.give, service.partition(), b.node)
            while service.partition() not in a._closed:  # noqa: ASYNC110
                await trio.sleep(0.002)
            assert b.other_servers.meant_for(service.partition()) == b.node  # it has been told before
            newcomers = [await stack.enter_async_context(service.raw(name)) for name in "abab"]
            await until_waiting(service, 2)
            await trio.sleep(0.5)  # to be asked again, the engine would still name the giver
            await until_waiting(service, 2)
            assert service.partition() in a.here
            over.set()
            for stream in newcomers:
                assert b"b 127.0.0.1 " in await read(stream, b"False")


async def test_a_third_server_leaves_a_partition_that_is_being_given_to_its_taker(over: trio.Event) -> None:
    async with nodes() as service, connect(service.url("a")) as client, service.raw("b") as carried:
        await client.receive()
        await read(carried, b"False")
        b = service.owner("b").owned
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.owner("a").giving.give, service.partition(), "127.0.0.1:1/0/c")
            while b.other_servers.meant_for(service.partition()) == "":  # noqa: ASYNC110
                await trio.sleep(0.002)
            assert b.holder_of(service.partition()) == ""
            assert service.partition() not in b._due()
            over.set()


async def test_one_that_counts_as_pending_waits_for_an_owner_less_long(
    over: trio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splice, "MOST_WAITING", 0)
    monkeypatch.setattr(splice, "WITHIN", 0.1)
    async with nodes() as service, connect(service.url("a")) as client:
        await client.receive()
        b = service.owner("b").owned
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.owner("a").giving.give, service.partition(), b.node)
            while b.other_servers.meant_for(service.partition()) != b.node:  # noqa: ASYNC110
                await trio.sleep(0.002)
            async with service.raw("b") as stream:
                assert b" 503 " in await read(stream, b"never")
            over.set()
