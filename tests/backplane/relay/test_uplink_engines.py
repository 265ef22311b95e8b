"""The relay as the one link of a machine to a real engine: the promises of every backplane, by Redis and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path

import pytest

from tests.backplane.postgres_server import PostgresServer, postgres_server
from tests.backplane.redis_server import RedisServer, redis_server
from tests.backplane.relay.test_uplink import reached
from tests.backplane.relays import relay
from tests.requirements import require_package
from wsframe.backplane.engines.supervised import SupervisedBackplane
from wsframe.backplane.interface import Backplane
from wsframe.backplane.postgres.backplane import PostgresBackplane
from wsframe.backplane.postgres.schema import SCHEMA
from wsframe.backplane.redis.backplane import RedisBackplane
from wsframe.backplane.relay.backplane import RelayBackplane
from wsframe.testing.backplanes import HistoryConformance, LeaseConformance, PublishConformance


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    require_package("glide")
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    require_package("psycopg")
    with postgres_server() as server:
        server.ask(SCHEMA)
        yield server


class Conformance(PublishConformance, HistoryConformance, LeaseConformance):
    """Each other node is a worker of another machine."""

    server: RedisServer | PostgresServer

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def engine(self) -> SupervisedBackplane:
        """Make the link of a relay."""
        raise NotImplementedError

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Callable[[], Backplane]]:
        self.server.grant_leases_at_once()
        paths = [self.folder / "r1", self.folder / "r2"]
        async with relay(paths[0], engine=self.engine()), relay(paths[1], engine=self.engine()):
            for path in paths:
                await reached(path)
            machine = cycle(paths)
            yield lambda: RelayBackplane(str(next(machine)))


class TestRedis(Conformance):
    server: RedisServer

    @pytest.fixture(autouse=True)
    def _server(self, redis: RedisServer) -> None:
        redis.ask("FLUSHALL")
        self.server = redis

    def engine(self) -> SupervisedBackplane:
        return RedisBackplane(self.server.url)


class TestPostgres(Conformance):
    @pytest.fixture(autouse=True)
    def _server(self, postgres: PostgresServer) -> None:
        self.server = postgres

    def engine(self) -> SupervisedBackplane:
        return PostgresBackplane(self.server.url)
