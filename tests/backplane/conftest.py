"""The engines of the tests: real servers, and the backplanes on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest

from tests.backplane.postgres_server import PostgresServer, postgres_server
from tests.backplane.redis_server import RedisServer, redis_server
from tests.patience import PATIENCE
from tests.requirements import require_package
from wsframe.backplane.engines import session
from wsframe.backplane.interface import Backplane
from wsframe.backplane.postgres.backplane import PostgresBackplane
from wsframe.backplane.redis.backplane import RedisBackplane
from wsframe.testing.backplanes import PublishConformance

Engine: TypeAlias = tuple[RedisServer | PostgresServer, Callable[[], Backplane]]
"""A server, and a function that makes a backplane on it."""


@pytest.fixture(autouse=True)
def _patient_kits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no backplane of a kit leave an engine that is only slow: it would lose messages for which a test waits."""
    if request.function.__module__ == PublishConformance.__module__:  # others have an engine that is away
        monkeypatch.setattr(session, "LOOKS", round(PATIENCE / session.LOOK))


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["glide", "coredis", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Give each engine with each of its client libraries."""
    name = request.param
    require_package("psycopg" if name == "postgresql" else name)
    if name == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        return postgres, lambda: PostgresBackplane(postgres.url)
    redis: RedisServer = request.getfixturevalue("redis")
    return redis, lambda: RedisBackplane(redis.url, transport=name)
