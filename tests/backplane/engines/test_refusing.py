"""Engines that carry messages and refuse leases: each refusal is seen, told once, and over as soon as they grant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.backplane.postgres_server import PostgresServer, postgres_server
from tests.backplane.redis_server import RedisServer, redis_server
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.requirements import require_package
from wsframe.backplane.engines import session, supervised
from wsframe.backplane.engines.engine import BackplaneRefused
from wsframe.backplane.engines.supervised import SupervisedBackplane
from wsframe.backplane.interface import History, Lease
from wsframe.backplane.postgres.backplane import PostgresBackplane
from wsframe.backplane.redis.backplane import RedisBackplane, Transport
from wsframe.testing.backplanes import Node

SECONDS = 600.0
FOREVER = 3600.0


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no connection end because this machine is slow."""
    monkeypatch.setattr(session, "LOOKS", round(PATIENCE / session.LOOK))


@asynccontextmanager
async def node(plane: SupervisedBackplane, name: str = "a") -> AsyncIterator[Node]:
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            running = Node(name, plane)
            await nursery.start(running.backplane.run, name, running.told)
            yield running
            nursery.cancel_scope.cancel()


async def granted(a: Node, key: str) -> Lease:
    while True:
        (got,) = await a.backplane.acquire([key], SECONDS)
        if isinstance(got, Lease):
            return got
        await trio.sleep(0.05)


@pytest.fixture(params=["glide", "coredis"])
def transport(request: pytest.FixtureRequest) -> Transport:
    require_package(request.param)
    found: Transport = request.param
    return found


async def try_a_lost_answer(server: RedisServer | PostgresServer, a: Node) -> None:
    """Have an engine that stands still grant a lease to a connection that has ended in the meantime."""
    server.freeze()
    try:
        assert await a.backplane.acquire(["k"], SECONDS) == [""]
        await a.told.until(lambda: a.told.reached[-1] is False)
    finally:
        server.thaw()
    await granted(a, "k")


@asynccontextmanager
async def redis_node(transport: Transport, folder: Path) -> AsyncIterator[tuple[RedisServer, Node]]:
    """Give a server that grants leases, and a node on it."""
    with redis_server(folder) as server:
        server.grant_leases_at_once()
        async with node(RedisBackplane(server.url, transport=transport)) as a:
            yield server, a


async def reconnected(a: Node, caplog: pytest.LogCaptureFixture, word: str) -> None:
    await a.told.until(lambda: a.told.reached[-2:] == [False, True])
    assert a.told.gaps == [None]
    lines = [line.getMessage() for line in caplog.records if line.levelname == "WARNING"]
    assert len([line for line in lines if word in line]) == 1, lines


async def test_a_lease_that_nobody_has_heard_of_is_granted_again(transport: Transport, tmp_path: Path) -> None:
    async with redis_node(transport, tmp_path) as (server, a):
        await try_a_lost_answer(server, a)


@pytest.mark.usefixtures("_patient")
async def test_scripts_that_were_flushed_are_loaded_again_on_the_same_connection(
    transport: Transport, tmp_path: Path
) -> None:
    async with redis_node(transport, tmp_path) as (server, a):
        lease = await granted(a, "k")
        for _ in range(5):
            assert server.ask("SCRIPT", "FLUSH") == b"+OK\r\n"
            assert await a.backplane.renew([lease], SECONDS) != [None]
        assert a.told.reached == [True]


@pytest.mark.usefixtures("_patient")
async def test_scripts_are_loaded_again_where_the_engine_has_refused_much_before(
    transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised, "FIRST_TRUST", FOREVER)
    async with redis_node(transport, tmp_path) as (server, a):
        await a.want("h")
        a.backplane.publish("h", b"first", keep=History())
        await a.told.until(lambda: a.told.payloads("h"))
        forbid_writes(server)
        assert a.backplane.publish("h", b"refused", keep=History())
        await a.told.until(lambda: a.told.reached == [True, False, True])
        server.ask("CONFIG", "SET", "maxmemory", "0")
        server.ask("SCRIPT", "FLUSH")
        while a.told.payloads("h")[-1:] != [b"kept"]:
            a.backplane.publish("h", b"kept", keep=History())
            await trio.sleep(0.1)
        assert a.told.reached == [True, False, True], "the connection stays"


async def test_a_server_that_becomes_a_replica_is_left_by_those_who_only_publish(
    transport: Transport, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with redis_node(transport, tmp_path) as (server, a), node(RedisBackplane(server.url), "b") as b:
        await b.want("t")
        assert a.backplane.publish("t", b"before")
        await b.told.until(lambda: b.told.payloads("t"))
        assert server.ask("REPLICAOF", "127.0.0.1", str(free_port())) == b"+OK\r\n"
        await a.told.until(lambda: a.told.reached[-1] is False)
        await b.told.until(lambda: b.told.reached[-1] is False)
        server.ask("REPLICAOF", "NO", "ONE")
        await a.told.until(lambda: a.told.reached[-1])
        await b.told.until(lambda: b.told.reached[-1])
        assert b.told.gaps[0] is None
        while b.told.payloads("t")[-1:] != [b"after"]:
            a.backplane.publish("t", b"after")
            await trio.sleep(0.1)
    assert "it is a replica" in caplog.text


async def test_a_server_that_becomes_a_replica_is_left_until_it_is_none(
    transport: Transport, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with redis_node(transport, tmp_path) as (server, a):
        lease = await granted(a, "k")
        assert server.ask("REPLICAOF", "127.0.0.1", str(free_port())) == b"+OK\r\n"
        assert await a.backplane.renew([lease], SECONDS) == [None]
        await a.told.until(lambda: a.told.reached[-1] is False)
        await trio.sleep(0.5)
        assert a.told.reached[-1] is False
        server.ask("REPLICAOF", "NO", "ONE")
        await reconnected(a, caplog, "cannot be reached")
        assert await a.backplane.renew([lease], SECONDS) != [None]


def forbid_writes(server: RedisServer) -> None:
    """Have it refuse writes, as one does that cannot save to its disk."""
    server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    server.ask("CONFIG", "SET", "maxmemory", "1")


async def test_a_server_that_refuses_writes_still_carries_messages_and_its_leases_are_back_when_it_writes(
    transport: Transport, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with redis_node(transport, tmp_path) as (server, a):
        await granted(a, "k")
        forbid_writes(server)
        assert await a.backplane.acquire(["l"], SECONDS) == [""]
        await reconnected(a, caplog, "maxmemory")
        assert await a.backplane.acquire(["l"], SECONDS) == [""]
        assert a.told.reached[-1]
        server.ask("CONFIG", "SET", "maxmemory", "0")
        await granted(a, "l")


async def test_a_lease_of_postgresql_that_nobody_has_heard_of_is_granted_again() -> None:
    require_package("psycopg")
    with postgres_server() as server:
        async with node(PostgresBackplane(server.url)) as a:
            await a.backplane.acquire(["other"], SECONDS)
            server.grant_leases_at_once()
            await granted(a, "other")
            await try_a_lost_answer(server, a)


async def test_messages_that_postgresql_refuses_to_keep_stop_no_others() -> None:
    require_package("psycopg")
    with postgres_server() as server:
        server.ask("CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app")
        url = server.url.replace("postgres@", "app@")
        async with node(PostgresBackplane(url)) as a, node(PostgresBackplane(url), "b") as b:
            await b.want("t")
            server.ask("REVOKE ALL ON wsframe_messages FROM app")
            wanted = [str(number).encode() for number in range(5)]
            for payload in wanted:
                assert a.backplane.publish("h", b"x", keep=History())
                assert a.backplane.publish("t", payload)
            await b.told.until(lambda: b.told.payloads("t")[-1:] == wanted[-1:])
            assert b.told.payloads("t") == wanted
            await a.told.until(lambda: a.told.reached[-2:] == [False, True])
            assert a.backplane.publish("t", b"later")
            await b.told.until(lambda: b.told.payloads("t")[-1:] == [b"later"])
            assert (b.told.gaps, b.told.reached) == ([], [True])


async def test_a_right_that_is_taken_from_the_role_is_told_and_its_return_is_noticed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    require_package("psycopg")
    with postgres_server() as server:
        server.ask("CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app")
        async with node(PostgresBackplane(server.url.replace("postgres@", "app@"))) as a:
            await a.backplane.acquire(["k"], SECONDS)
            server.grant_leases_at_once()
            lease = await granted(a, "k")
            server.ask("REVOKE ALL ON wsframe_leases FROM app")
            assert await a.backplane.renew([lease], SECONDS) == [None]
            await reconnected(a, caplog, "permission denied")
            assert await a.backplane.acquire(["l"], SECONDS) == [""]
            server.ask("GRANT ALL ON wsframe_leases TO app")
            assert await a.backplane.renew([lease], SECONDS) != [None]
            server.ask("ALTER ROLE app SET default_transaction_read_only = on")
            server.kill_connections()
            await a.told.until(lambda: a.told.reached[-4:] == [False, True] * 2)
            assert await a.backplane.renew([lease], SECONDS) == [None]
            server.ask("ALTER ROLE app RESET default_transaction_read_only")
            server.kill_connections()
            await a.told.until(lambda: a.told.reached[-6:] == [False, True] * 3)
            await granted(a, "l")


@pytest.mark.usefixtures("_patient")
async def test_tables_of_postgresql_that_were_dropped_are_made_again() -> None:
    require_package("psycopg")
    with postgres_server() as server:
        async with node(PostgresBackplane(server.url)) as a, node(PostgresBackplane(server.url), "b") as b:
            await b.want("t")
            await a.backplane.acquire(["k"], SECONDS)
            server.grant_leases_at_once()
            await granted(a, "k")
            server.ask("DROP TABLE wsframe_leases, wsframe_large")
            assert a.backplane.publish("t", b"lost", keep=History())
            await a.told.until(lambda: a.told.reached == [True, False, True])
            while not b.told.payloads("t"):
                a.backplane.publish("t", b"kept", keep=History())
                await trio.sleep(0.1)
            assert b.told.gaps[:1] == ["t"]
            assert await b.backplane.acquire(["k"], SECONDS) == [""], "the holder acts on for a lease"
            server.grant_leases_at_once()
            await granted(b, "k")


@pytest.mark.usefixtures("_patient")
async def test_a_lock_of_somebody_else_stops_no_messages_without_history(monkeypatch: pytest.MonkeyPatch) -> None:
    require_package("psycopg")
    import psycopg

    monkeypatch.setattr(supervised, "FIRST_TRUST", FOREVER)
    with postgres_server() as server:
        async with node(PostgresBackplane(server.url)) as a, node(PostgresBackplane(server.url), "b") as b:
            await b.want("t")
            sent = 0
            with psycopg.connect(server.url) as other:
                other.execute("LOCK TABLE wsframe_messages IN ACCESS EXCLUSIVE MODE")
                for _ in range(2):  # the first refusal ends a connection
                    a.backplane.publish("h", b"refused", keep=History())
                    await a.told.until(lambda: len(a.told.reached) >= 3)
                    while not b.told.payloads("t") or int(b.told.payloads("t")[-1]) != sent:
                        sent += 1
                        a.backplane.publish("t", b"%d" % sent)
                        await trio.sleep(0.05)
            numbers = list(map(int, b.told.payloads("t")))
            assert numbers == sorted(set(numbers)), "nothing late, nothing twice"
            assert a.told.reached == [True, False, True], "the first refusal alone ends a connection"


async def test_tables_of_another_version_are_refused() -> None:
    require_package("psycopg")
    with postgres_server() as server:
        server.ask("CREATE TABLE wsframe_births (service bytea PRIMARY KEY, number int)")
        with pytest.RaisesGroup(BackplaneRefused, flatten_subgroups=True, allow_unwrapped=True) as caught:
            async with node(PostgresBackplane(server.url)):
                pass
        assert "another version: drop them" in str(caught.value.exceptions)
