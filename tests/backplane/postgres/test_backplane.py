"""PostgreSQL as a backplane: the promises of every backplane."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.backplane.postgres_server import PostgresServer, postgres_server
from tests.patience import PATIENCE
from tests.requirements import require_package
from wsframe.backplane.engines.engine import BackplaneRefused
from wsframe.backplane.interface import Backplane, History, Lease
from wsframe.backplane.postgres.backplane import PostgresBackplane
from wsframe.backplane.postgres.schema import EXPIRE, SCHEMA
from wsframe.testing.backplanes import HistoryConformance, LeaseConformance, Node, PublishConformance, Recording


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    require_package("psycopg")
    with postgres_server() as server:
        server.ask(SCHEMA)
        yield server


class TestPostgres(PublishConformance, HistoryConformance, LeaseConformance):
    @pytest.fixture(autouse=True)
    def _server(self, server: PostgresServer) -> None:
        self.server = server

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Callable[[], Backplane]]:
        self.server.grant_leases_at_once()
        yield lambda: PostgresBackplane(self.server.url)


@asynccontextmanager
async def nodes(url: str, *names: str) -> AsyncIterator[list[Node]]:
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            running = [Node(name, PostgresBackplane(url)) for name in names]
            for node in running:
                await nursery.start(node.backplane.run, node.name, node.told)
            yield running
            nursery.cancel_scope.cancel()


async def test_equal_messages_are_not_one(server: PostgresServer) -> None:
    async with nodes(server.url, "a", "b") as (a, b):
        await b.want("t")
        for _ in range(20):  # one transaction, in which PostgreSQL drops equal notifications
            a.backplane.publish("t", b"x")
        await b.told.until(lambda: len(b.told.messages) == 20)


async def test_large_messages_keep_their_place(server: PostgresServer) -> None:
    async with nodes(server.url, "a", "b") as (a, b):
        await b.want("t")
        sent = [bytes([number]) * (20_000 if number % 3 else 2) for number in range(30)]
        for number, payload in enumerate(sent):
            a.backplane.publish("t", payload, keep=History() if number % 2 else None)
        await b.told.until(lambda: len(b.told.messages) == 30)
        assert b.told.payloads("t") == sent
        assert b.told.gaps == []


async def test_a_large_message_that_is_gone_is_a_gap(server: PostgresServer) -> None:
    async with nodes(server.url, "a", "b") as (a, b):
        await b.want("t")
        server.ask("CREATE FUNCTION forget() RETURNS trigger AS 'BEGIN DELETE FROM wsframe_large; RETURN NULL; END' "
                   "LANGUAGE plpgsql")  # fmt: skip
        server.ask("CREATE TRIGGER forget AFTER INSERT ON wsframe_large EXECUTE FUNCTION forget()")
        try:
            a.backplane.publish("t", bytes(20_000))
            a.backplane.publish("t", b"small")
            await b.told.until(lambda: b.told.messages)
            assert b.told.order[-2:] == ["gap t", "message t"]
        finally:
            server.ask("DROP FUNCTION forget CASCADE")


async def test_services_do_not_meet(server: PostgresServer) -> None:
    async with nodes(server.url, "a") as (a,), nodes(server.url + "&service=other", "b", "c") as (b, c):
        await a.want("t")
        await b.want("t")
        c.backplane.publish("t", b"x", keep=History())
        await b.told.until(lambda: b.told.messages)
        assert a.told.messages == []
        assert (await a.backplane.newest("t")) != b.told.messages[0].position


async def test_messages_that_are_too_old_are_not_returned(server: PostgresServer) -> None:
    async with nodes(server.url, "a") as (a,):
        await a.want("old")
        a.backplane.publish("old", b"x", keep=History(seconds=0.01))
        await a.told.until(lambda: a.told.messages)
        position = a.told.messages[0].position
        assert position is not None
        await trio.sleep(0.02)
        assert await a.backplane.since("old", position._replace(offset=0), 10) is None
        assert await a.backplane.kept("old") == (position, [])


async def test_topics_that_nobody_uses_are_forgotten(server: PostgresServer) -> None:
    def are_there() -> list[str]:
        rows = server.ask("SELECT convert_from(topic, 'UTF8') FROM wsframe_topics WHERE topic LIKE 'used %'")
        return sorted(name.decode() for (name,) in rows if name is not None)

    def age(hours: int) -> None:
        server.ask(f"UPDATE wsframe_topics SET used = clock_timestamp() - interval '{hours} hours'")

    async with nodes(server.url, "a") as (a,):
        asked = await a.backplane.newest("used 1")
        await a.want("used 2")
        for topic, keep in (("used 2", History()), ("used 3", History(seconds=7 * 86_400))):
            a.backplane.publish(topic, b"x", keep=keep)
        await a.told.until(lambda: a.told.messages)
        assert await a.backplane.newest("used 3")
        age(hours=20)
        assert await a.backplane.newest("used 1") == asked
        server.ask("UPDATE wsframe_topics SET used = used - interval '10 hours'")
        server.ask(EXPIRE)
        assert are_there() == ["used 1", "used 3"]  # asked for; kept for a week
        age(hours=20)
        a.backplane.publish("used 1", b"x", keep=History())
        a.backplane.publish("used 2", b"x", keep=History())  # again, with a new epoch
        await a.told.until(lambda: len(a.told.messages) == 2)
        age(hours=8 * 24)
        server.ask(EXPIRE)
        assert are_there() == []


async def test_a_copy_of_the_data_grants_nothing_for_a_lease(server: PostgresServer) -> None:
    async with nodes(server.url, "a") as (a,):
        await a.backplane.acquire(["copy"], 0.001)
        server.grant_leases_at_once()
        (lease,) = await a.backplane.acquire(["copy"], 0.001)
        assert isinstance(lease, Lease)
        server.ask("UPDATE wsframe_births SET identity = 'of the original', at = '-infinity'")
        assert await a.backplane.acquire(["copy"], 600.0) == [""]
        (again,) = await a.backplane.acquire(["copy"], 0.0)
        assert isinstance(again, Lease)
        assert again.token > lease.token


async def test_a_server_that_hides_its_identity_grants_leases_all_the_same(server: PostgresServer) -> None:
    server.ask("REVOKE EXECUTE ON FUNCTION pg_control_system FROM public")
    server.ask("CREATE ROLE guest LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO guest")
    try:
        async with nodes(server.url.replace("postgres@", "guest@"), "a") as (a,):
            await a.backplane.acquire(["hidden"], 0.001)
            server.grant_leases_at_once()
            (lease,) = await a.backplane.acquire(["hidden"], 600.0)
            assert isinstance(lease, Lease)
    finally:
        server.ask("DROP OWNED BY guest; DROP ROLE guest; GRANT EXECUTE ON FUNCTION pg_control_system TO public")


async def test_without_the_right_to_make_tables_it_is_refused(server: PostgresServer) -> None:
    server.ask("CREATE ROLE guest LOGIN")
    server.ask("CREATE DATABASE empty")
    try:
        url = server.url.replace("postgres@", "guest@").replace("/postgres?", "/empty?")
        with pytest.RaisesGroup(BackplaneRefused, flatten_subgroups=True, allow_unwrapped=True):
            async with nodes(url, "a"):
                pass
    finally:
        server.ask("DROP DATABASE empty WITH (FORCE)")
        server.ask("DROP ROLE guest")


async def test_a_wrong_password_is_one_line_without_it(
    server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.ask("CREATE ROLE locked LOGIN SUPERUSER PASSWORD 'right-one'")
    try:
        async with nodes(server.url.replace("postgres@", "locked:right-one@"), "a"):
            pass
        for login in ("locked:wrong-one@", "locked@", "nobody:right-one@"):
            with pytest.RaisesGroup(BackplaneRefused, flatten_subgroups=True, allow_unwrapped=True) as caught:
                async with nodes(server.url.replace("postgres@", login), "a"):
                    pass
            text = str(caught.value.exceptions)
            assert "refuses us" in text
            assert "-one" not in text + caplog.text
    finally:
        server.ask("DROP ROLE locked")


async def test_a_database_that_is_not_there_is_refused(server: PostgresServer) -> None:
    url = server.url.replace("/postgres?", "/nowhere?")
    with pytest.RaisesGroup(BackplaneRefused, flatten_subgroups=True, allow_unwrapped=True):
        async with nodes(url, "a"):
            pass


async def test_a_server_that_is_not_there_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    told = Recording()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(PostgresBackplane("postgresql://u:secret@localhost:1/db").run, "a", told)
            await told.until(lambda: told.reached == [False])
            nursery.cancel_scope.cancel()
    assert "the backplane at postgresql://localhost:1/db cannot be reached: connection to server" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("url", ["mysql://:secret@h", "postgresql://:secret@h:port", "postgresql://:secret@h?no=1"])
def test_other_urls_are_refused_without_their_password(url: str) -> None:
    with pytest.raises(ValueError, match="expected postgresql://") as caught:
        PostgresBackplane(url)
    assert "secret" not in str(caught.value)


def test_a_password_is_not_in_the_repr() -> None:
    assert repr(PostgresBackplane("postgresql://u:secret@h:99/db")) == "<PostgresBackplane postgresql://h:99/db>"


def test_without_psycopg_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsframe.backplane.postgres.backplane.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'wsframe\[postgresql\]'"):
        PostgresBackplane("postgresql://")
