"""The backplane that a URL names."""

from __future__ import annotations

import pytest

from tests.requirements import require_package
from wsframe.backplane.at_url import backplane_at
from wsframe.backplane.postgres.backplane import PostgresBackplane
from wsframe.backplane.redis.backplane import RedisBackplane
from wsframe.backplane.relay.backplane import RelayBackplane


@pytest.mark.parametrize(
    "url", ["redis://h", "rediss://:p@h", "valkey://h", "valkeys://h", "redis+unix:///run/r", "valkey+unix:///run/r"]
)
def test_redis_and_valkey(url: str) -> None:
    require_package("glide")
    assert isinstance(backplane_at(url), RedisBackplane)


@pytest.mark.parametrize("url", ["postgresql://h/db", "postgres:///db"])
def test_postgresql(url: str) -> None:
    require_package("psycopg")
    assert isinstance(backplane_at(url), PostgresBackplane)


@pytest.mark.parametrize("path", ["/run/wsframe/relay", "./relay", "../relay"])
def test_the_path_of_a_relay(path: str) -> None:
    assert isinstance(backplane_at(path), RelayBackplane)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("nats://:secret@h", "^nats:// is not the address of a backplane: expected redis://HOST, "),
        ("http://:secret@h", "^http:// is not"),
        ("relay:secret", "^that is not the address"),
        (":secret@h://", "^that is not the address"),
        ("", "^that is not"),
        ("redis:secret", "^that is not"),
    ],
)
def test_other_addresses_are_refused_without_their_password(url: str, error: str) -> None:
    with pytest.raises(ValueError, match=error) as caught:
        backplane_at(url)
    assert "secret" not in str(caught.value)
