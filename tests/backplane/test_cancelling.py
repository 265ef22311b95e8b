"""Cancelling ``serve`` at any moment leaves no task and no exception group, also while its engine is connected."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest
import trio

from tests.backplane.cancelling import cancel_at_each_step, tasks
from tests.backplane.postgres_server import PostgresServer, postgres_server
from tests.backplane.redis_server import RedisServer, redis_server
from tests.requirements import require_package
from wsframe import Registry, Resource, serve
from wsframe.backplane.interface import Backplane
from wsframe.backplane.postgres import PostgresBackplane
from wsframe.backplane.redis import RedisBackplane
from wsframe.resources.server import Server

STRIDE = int(os.environ.get("WSFRAME_CANCEL_STRIDE", "11"))
"""Steps between two that are tried; 1 tries all, in a minute for each engine."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


def made(request: pytest.FixtureRequest, name: str) -> Backplane:
    if name == "postgresql":
        require_package("psycopg")
        return PostgresBackplane(request.getfixturevalue("postgres").url)
    require_package(name)
    return RedisBackplane(request.getfixturevalue("redis").url, transport="glide" if name == "glide" else "coredis")


class Room(Resource):
    scope = "shared"


async def until_reached(make: partial[Backplane]) -> None:
    """Serve until the engine has been reached, and a little longer."""
    registry = Registry(alone=True)
    registry.register("/", Room())
    plane = make()
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(partial(serve, registry, port=0, backplane=plane))
        while await plane.newest("t") is None:  # noqa: ASYNC110
            await trio.sleep(0.005)
        server.close()


@pytest.mark.parametrize("name", ["glide", "coredis", "postgresql"])
async def test_cancelling_serve_at_any_step_leaves_nothing(request: pytest.FixtureRequest, name: str) -> None:
    tried = await cancel_at_each_step(partial(until_reached, partial(made, request, name)), stride=STRIDE)
    assert tried > 3


@pytest.mark.parametrize("name", ["glide", "coredis", "postgresql"])
async def test_cancelling_serve_while_its_engine_stands_still_leaves_nothing(
    request: pytest.FixtureRequest, name: str
) -> None:
    make = partial(made, request, name)
    await until_reached(make)
    server: RedisServer | PostgresServer = request.getfixturevalue("postgres" if name == "postgresql" else "redis")
    before = tasks()
    server.freeze()
    try:
        for seconds in (0.0, 0.05, 0.5):
            with trio.move_on_after(seconds) as scope:
                await until_reached(make)
            assert scope.cancelled_caught
            assert not tasks() - before
    finally:
        server.thaw()
