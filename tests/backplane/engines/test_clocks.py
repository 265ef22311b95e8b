"""Engines whose clock is put back: they grant leases after the length of one, and no message gets a wrong number."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.backplane.postgres_server import postgres_server
from tests.backplane.redis_server import RedisServer, redis_server
from tests.patience import PATIENCE
from tests.requirements import require_package
from wsframe.backplane.engines.supervised import SupervisedBackplane
from wsframe.backplane.interface import History, Lease
from wsframe.backplane.postgres.backplane import PostgresBackplane
from wsframe.backplane.redis.backplane import RedisBackplane
from wsframe.testing.backplanes import Node

HOUR = 3600
SECONDS = 0.3
KEPT = History(messages=10, seconds=60)
AGE = """\
local kept = redis.call('LINDEX', KEYS[1], ARGV[1])
redis.call('LSET', KEYS[1], ARGV[1], string.rep('0', 16) .. string.sub(kept, 17))
return 1
"""
"""Has a message be of 1970."""


@asynccontextmanager
async def node(plane: SupervisedBackplane) -> AsyncIterator[Node]:
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            running = Node("a", plane)
            await nursery.start(running.backplane.run, "a", running.told)
            yield running
            nursery.cancel_scope.cancel()


async def granted(a: Node) -> Lease:
    while True:
        (got,) = await a.backplane.acquire(["k"], SECONDS)
        if isinstance(got, Lease):
            return got
        await trio.sleep(SECONDS / 5)


def run_id(server: RedisServer) -> str:
    info = server.ask("INFO", "server").decode()
    return next(line.partition(":")[2] for line in info.splitlines() if line.startswith("run_id:"))


async def test_redis_grants_leases_soon_after_its_clock_was_put_back(tmp_path: Path) -> None:
    require_package("coredis")
    with redis_server(tmp_path) as server:
        async with node(RedisBackplane(server.url, transport="coredis")) as a:
            later = str(int((time.time() + HOUR) * 1_000_000))
            server.ask("HSET", "wsframe:leases:born", "run", run_id(server), "at", later)
            assert await a.backplane.acquire(["k"], SECONDS) == [""]
            await granted(a)


async def test_postgresql_grants_leases_soon_after_its_clock_was_put_back() -> None:
    require_package("psycopg")
    with postgres_server() as server:
        async with node(PostgresBackplane(server.url)) as a:
            await a.backplane.acquire(["k"], SECONDS)
            server.ask("UPDATE wsframe_births SET at = at + interval '1 hour'")
            assert await a.backplane.acquire(["k"], SECONDS) == [""]
            await granted(a)


@pytest.mark.parametrize(("old", "left"), [([0], [2, 3]), ([1], [3]), ([2], []), ([0, 2], []), ([], [1, 2, 3])])
async def test_messages_that_a_clock_has_aged_out_of_order_keep_their_numbers(
    old: list[int], left: list[int], tmp_path: Path
) -> None:
    require_package("coredis")
    with redis_server(tmp_path) as server:
        plane = RedisBackplane(server.url, transport="coredis")
        async with node(plane) as a:
            before = await a.backplane.newest("t")
            assert before is not None
            for payload in (b"1", b"2", b"3"):
                assert a.backplane.publish("t", payload, keep=KEPT)
            await plane.sent()
            for place in old:
                assert server.ask("EVAL", AGE, "1", "wsframe:kept:t", str(place)) == b":1\r\n"
            found = await a.backplane.kept("t")
            assert found is not None
            assert found[0].offset == before.offset + 3
            assert [(one.offset - before.offset, one.payload) for one in found[1]] == [
                (number, str(number).encode()) for number in left
            ]
