"""URLs of Redis and Valkey servers."""

from __future__ import annotations

import pytest

from wsframe.backplane.redis.address import RedisAddress, redis_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://", RedisAddress(host="localhost")),
        ("redis://h", RedisAddress(host="h")),
        ("valkey://h:7000/3", RedisAddress(host="h", port=7000, database=3)),
        ("redis://[::1]:7000", RedisAddress(host="::1", port=7000)),
        ("redis://:p%40ss@h", RedisAddress(host="h", password="p@ss")),
        ("rediss://u:p@h?ca=/ca.pem", RedisAddress(host="h", user="u", password="p", tls=True, ca="/ca.pem")),
        ("valkeys://h?cert=c&key=k", RedisAddress(host="h", tls=True, cert="c", key="k")),
        ("redis+unix:///run/r%20s?db=2", RedisAddress(host="localhost", path="/run/r s", database=2)),
        ("redis+unix://:p@/run/r", RedisAddress(host="localhost", path="/run/r", password="p")),
        ("redis://h?service=chat", RedisAddress(host="h", service="chat")),
    ],
)
def test_urls_are_read(url: str, address: RedisAddress) -> None:
    assert redis_address(url) == address


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://:secret@h", "'http' is not the scheme"),
        ("redis://:secret@h:port", "cannot be read"),
        ("redis://:secret@[::1", "cannot be read"),
        ("redis://:secret@h/one", "is a number, not 'one'"),
        ("redis://:secret@h?tls=1", "'tls' is not an option"),
        ("redis://:secret@h?ca=x", "write rediss://"),
        ("rediss://:secret@h?cert=x", "come together"),
        ("redis+unix://", "names no socket"),
        ("redis://:secret@h:99999", "cannot be read"),
    ],
)
def test_other_urls_are_refused_without_their_password(url: str, error: str) -> None:
    with pytest.raises(ValueError, match=error) as caught:
        redis_address(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("url", ["redis://u:secret@h:1", "redis+unix://:secret@/run/r", "rediss://:secret@[::1]"])
def test_a_password_is_never_shown(url: str) -> None:
    address = redis_address(url)
    assert address.password == "secret"
    assert "secret" not in repr(address) + address.name
