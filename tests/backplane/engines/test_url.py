"""No part of a password is shown, whatever the URL."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.requirements import require_package
from wsframe.backplane.at_url import backplane_at
from wsframe.backplane.engines.url import split_url
from wsframe.backplane.postgres.backplane import PostgresEngine
from wsframe.backplane.redis.address import redis_address

ODD = ["/", "?", "#", "@", ":", "%", "[", "]", " ", "\\", "&", "=", ";", ",", "\n", "\t", "\0", "%%", "%0", "'", '"']
PLACES = [
    ("redis", "h:1/0"), ("rediss", "[::1]:1/0"), ("redis+unix", "/run/x"), ("valkey", "h?service=s"),
    ("postgresql", "h:1/d"), ("postgresql", "%2Frun%2Fpg/d"), ("postgres", "[::1],h2:1/d?sslmode=require"),
]  # fmt: skip


@pytest.mark.parametrize(("scheme", "rest"), PLACES)
@pytest.mark.parametrize("odd", ODD)
def test_no_part_of_a_password_that_was_not_encoded_is_shown(scheme: str, rest: str, odd: str) -> None:
    require_package("psycopg" if scheme.startswith("postgres") else "glide")
    for first in ("S3C", "12", ""):  # digits look like a port
        for user in ("u", ""):
            try:
                shown = repr(backplane_at(f"{scheme}://{user}:{first}{odd}R3T@{rest}"))
            except ValueError as error:
                shown = f"{error} {error.__cause__} {'' if error.__suppress_context__ else error.__context__!r}"
            assert "S3C" not in shown
            assert "R3T" not in shown


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1))
def test_a_password_that_is_encoded_arrives_as_it_is(password: str) -> None:
    written = quote(password, safe="")
    for place in ("h:1/0", "[::1]"):
        address = redis_address(f"rediss://u:{written}@{place}")
        assert address.password == password
        assert address.host in ("h", "::1")


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1))
def test_an_encoded_password_arrives_at_libpq_and_is_taken_out_of_errors(password: str) -> None:
    require_package("psycopg")
    engine = PostgresEngine(f"postgresql://u:{quote(password, safe='')}@[::1]:1/d")
    assert engine._settings["password"] == password
    assert engine.name == "postgresql://[::1]:1/d"
    assert engine.redacted(OSError(f"wrong {password}")) == " ".join(
        f"wrong {password}".replace(password, "***").split()
    )


@pytest.mark.parametrize("option", ["password", "sslpassword"])
def test_each_secret_option_of_libpq_is_taken_out_of_errors(option: str) -> None:
    require_package("psycopg")
    engine = PostgresEngine(f"postgresql://h/d?{option}=s%40cret")
    assert engine.redacted(OSError("it was s@cret")) == "it was ***"
    assert "cret" not in engine.name


@pytest.mark.parametrize("make", [redis_address, split_url])
def test_other_urls_are_refused(make: Callable[[str], object]) -> None:
    for url in ("redis://a:b@c@d", "redis://h/a@b", "redis://h?a=@", "redis://h#@", "redis://h\n/", "redis://[::1"):
        with pytest.raises(ValueError, match=r".|^$"):
            make(url)
