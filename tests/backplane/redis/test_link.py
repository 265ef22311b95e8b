"""Requests to a Redis server, and a server that forgets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.backplane.redis_server import RedisServer, redis_server
from tests.patience import PATIENCE
from wsframe.backplane.engines.engine import BackplaneRefused
from wsframe.backplane.interface import History, Lease, Position
from wsframe.backplane.redis.backplane import RedisBackplane
from wsframe.backplane.redis.connection import Command
from wsframe.backplane.redis.link import Reconnected, linked
from wsframe.testing.backplanes import Node

FOREVER = 600.0
"""Seconds of a lease that nobody is granted while one may still run."""
AT_ONCE = 0.001


@asynccontextmanager
async def nodes(server: RedisServer, *names: str) -> AsyncIterator[list[Node]]:
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            running = [Node(name, RedisBackplane(server.url)) for name in names]
            for node in running:
                await nursery.start(node.backplane.run, node.name, node.told)
            yield running
            nursery.cancel_scope.cancel()


async def acquire(node: Node) -> Lease:
    """Acquire a short lease, once the server grants any."""
    while True:
        (got,) = await node.backplane.acquire(["k"], AT_ONCE)
        if isinstance(got, Lease):
            return got
        await trio.sleep(0.01)


async def kept(node: Node) -> Position:
    """Publish a message that is kept, and return its position."""
    before = len(node.told.messages)
    node.backplane.publish("t", b"x", keep=History())
    await node.told.until(lambda: len(node.told.messages) > before)
    position = node.told.messages[-1].position
    assert position is not None
    return position


async def restarted(server: RedisServer, node: Node) -> None:
    server.kill()
    await node.told.until(lambda: node.told.reached[-1] is False)
    server.start()
    await node.told.until(lambda: node.told.reached[-1])


async def test_a_server_that_was_restarted_empty_grants_nothing_for_a_lease_and_has_new_epochs(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with nodes(server, "a") as (a,):
            await a.want("t")
            assert await a.backplane.acquire(["k"], FOREVER) == [""]
            lease, before = await acquire(a), await kept(a)
            await restarted(server, a)
            assert await a.backplane.acquire(["k"], FOREVER) == [""]
            assert (await acquire(a)).token > lease.token
            assert await a.backplane.since("t", before, 10) is None
            assert (await kept(a)).epoch != before.epoch


async def test_a_server_that_was_restarted_with_old_data_is_as_one_without(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--dir", str(tmp_path)) as server:
        async with nodes(server, "a") as (a,):
            await a.want("t")
            lease, before = await acquire(a), await kept(a)
            assert server.ask("SAVE") == b"+OK\r\n"
            later = await kept(a)  # lost: it has the offset that the next one would get
            await restarted(server, a)
            assert await a.backplane.acquire(["k"], FOREVER) == [""]
            assert (await acquire(a)).token > lease.token
            assert a.told.wants[-1] == ("t", None)
            assert await a.backplane.since("t", before, 10) is None
            after = await kept(a)
            assert after.epoch != later.epoch
            assert after.offset == 1


async def test_leases_that_were_flushed_are_not_granted_again_at_once(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with nodes(server, "a") as (a,):
            await acquire(a)
            server.ask("FLUSHALL")
            assert await a.backplane.acquire(["k"], FOREVER) == [""]


async def test_a_silent_topic_that_is_asked_for_keeps_its_epoch(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with nodes(server, "a") as (a,):
            await a.want("t")
            for topic in ("t", "u"):
                position = await kept(a) if topic == "t" else await a.backplane.newest("u")
                key = f"wsframe:state:{topic}"
                assert server.ask("PEXPIRE", key, "100000") == b":1\r\n"
                assert await a.backplane.newest(topic) == position
                assert int(server.ask("PTTL", key)[1:]) > 80_000_000


async def test_a_server_that_drops_keys_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with redis_server(tmp_path, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as server:
        async with nodes(server, "a"):
            assert "leases too (maxmemory-policy allkeys-lru): set noeviction" in caplog.text


async def test_a_cluster_is_refused(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--cluster-enabled", "yes", "--dir", str(tmp_path)) as server:
        with pytest.RaisesGroup(BackplaneRefused, flatten_subgroups=True, allow_unwrapped=True) as caught:
            async with nodes(server, "a"):
                pass
        assert "Redis Cluster" in str(caught.value.exceptions)


class Scripted:
    """A connection that answers from a list."""

    def __init__(self, *answers: list[Any]) -> None:
        self.answers = list(answers)

    async def commands(self, commands: Sequence[Command]) -> list[Any]:
        return self.answers.pop(0)

    async def subscribe(self, channels: Collection[bytes]) -> None: ...
    async def unsubscribe(self, channels: Collection[bytes]) -> None: ...


async def test_an_answer_of_another_connection_does_not_count() -> None:
    connection = Scripted([7, b"run_id:abc\r\n", b"", *[b"sha"] * 7], [7, [b"+5", b"-b"]], [8, [b"+6"]])
    link = await linked(connection, "wsframe")
    assert await link.acquire("a", ["k", "l"], 5.0) == [5, "b"]
    with pytest.raises(Reconnected):
        await link.acquire("a", ["k"], 5.0)
