"""PostgreSQL's client library under trio."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tests.backplane.postgres_server import PostgresServer, postgres_server
from tests.patience import PATIENCE
from tests.requirements import require_package

require_package("psycopg")

from wsframe.backplane.postgres.libpq import (  # noqa: E402
    CommandFailed,
    NotConnected,
    PostgresConnection,
    connected,
    looked_up,
    written,
)
from wsframe.backplane.postgres.link import PostgresLink  # noqa: E402


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@asynccontextmanager
async def connection(server: PostgresServer, heard: list[tuple[str, str]]) -> AsyncIterator[PostgresConnection]:
    with trio.fail_after(PATIENCE):
        settings = {"host": str(server.folder), "user": "postgres", "dbname": "postgres"}
        raw = await connected(settings, PATIENCE)
        ours = PostgresConnection(raw, lambda channel, payload: heard.append((channel, payload)))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ours.send)
                nursery.start_soon(ours.read)
                yield ours
                nursery.cancel_scope.cancel()
        finally:
            raw.finish()


async def test_a_command_that_nobody_waits_for_any_more_leaves_the_connection_usable(server: PostgresServer) -> None:
    async with connection(server, []) as ours:
        with trio.move_on_after(0.01):
            await ours.execute("SELECT pg_sleep(0.1)")
        assert await ours.execute("SELECT $1::int + 1", 1) == [(b"2",)]


async def test_a_command_that_is_given_up_before_its_turn_never_runs(server: PostgresServer) -> None:
    """It would take a lease of which nobody knows."""
    async with connection(server, []) as ours, trio.open_nursery() as nursery:
        nursery.start_soon(ours.execute, "SELECT pg_sleep(0.1)")
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.01):
            await ours.execute("CREATE TABLE given_up ()")
        assert await ours.execute("SELECT to_regclass('given_up')") == [(b"",)]


async def test_commands_run_in_order_beside_notifications(server: PostgresServer) -> None:
    heard: list[tuple[str, str]] = []
    answers: list[bytes] = []
    async with connection(server, heard) as ours:
        await ours.execute("LISTEN t")

        async def ask(number: int) -> None:
            ((answer,),) = await ours.execute("SELECT $1::int FROM pg_notify('t', $2)", number, f"{number}")
            answers.append(answer)

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(ask, number)
        await ours.execute("SELECT 1")
    assert sorted(map(int, answers)) == list(range(50))
    assert sorted(heard) == sorted(("t", str(number)) for number in range(50))


async def test_binary_parameters_and_large_ones_arrive(server: PostgresServer) -> None:
    data = bytes(range(256)) * 20_000
    async with connection(server, []) as ours:
        ((size, start),) = await ours.execute("SELECT length($1::bytea), substr($1::bytea, 1, 3)", data)
        assert (size, start) == (b"%d" % len(data), b"\\x000102")


async def test_a_command_that_fails_costs_no_other(server: PostgresServer) -> None:
    async with connection(server, []) as ours:
        with pytest.raises(CommandFailed, match="syntax error"):
            await ours.execute("SELEC 1")
        assert await ours.execute("SELECT NULL, 1") == [(b"", b"1")]


async def test_a_commit_is_on_disk_whatever_the_setting_of_the_database_is(server: PostgresServer) -> None:
    server.ask("ALTER ROLE CURRENT_USER SET synchronous_commit = off")
    try:
        async with connection(server, []) as ours:
            link = PostgresLink("service", lambda topic, envelope: None)
            link.connection = ours
            assert await ours.execute("SHOW synchronous_commit") == [(b"off",)]
            await link.prepare()
            assert await ours.execute("SHOW synchronous_commit") == [(b"on",)]
    finally:
        server.ask("ALTER ROLE CURRENT_USER RESET synchronous_commit")


async def test_a_server_process_that_was_killed_ends_the_connection(server: PostgresServer) -> None:
    ends = pytest.RaisesGroup(Exception, flatten_subgroups=True)
    with ends:
        async with connection(server, []) as ours:
            ((pid,),) = await ours.execute("SELECT pg_backend_pid()")
            server.ask(f"SELECT pg_terminate_backend({int(pid)})")
            await trio.sleep_forever()


async def test_a_server_that_does_not_answer_is_given_up(server: PostgresServer) -> None:
    server.freeze()
    try:
        with pytest.raises(trio.TooSlowError):
            await connected({"host": str(server.folder), "user": "postgres", "dbname": "postgres"}, 0.1)
    finally:
        server.thaw()


async def test_names_are_looked_up_before_libpq_does_it() -> None:
    found = await looked_up({"host": "localhost", "port": "1"})
    assert {"127.0.0.1", "::1"} >= set(found["hostaddr"].split(","))
    for settings in ({"host": "/run"}, {"host": "a,b"}, {"host": "a", "hostaddr": "1.2.3.4"}, {}):
        assert await looked_up(settings) == settings


async def test_each_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first address of a name can be one at which nobody listens: ``::1`` of ``localhost``."""

    async def two_addresses(host: str, port: object, **options: object) -> list[object]:
        await trio.lowlevel.checkpoint()
        kind, address = (socket.SOCK_STREAM, 6, ""), ("127.0.0.2", 0)
        return [(socket.AF_INET, *kind, at) for at in (address, address, ("127.0.0.1", 0))]

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    monkeypatch.setattr(trio.socket, "getaddrinfo", two_addresses)
    heard = trio.Event()

    async def answer(stream: trio.SocketStream) -> None:
        assert await stream.receive_some()
        heard.set()

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, answer, [listener])
            settings = {"host": "db.example", "port": str(listener.socket.getsockname()[1]), "user": "u"}
            found = await looked_up(settings)
            assert (found["host"], found["hostaddr"]) == ("db.example,db.example", "127.0.0.2,127.0.0.1")
            with pytest.raises(NotConnected):  # one that hangs up
                await connected(settings, PATIENCE)
            await heard.wait()
            nursery.cancel_scope.cancel()


def test_settings_are_written_so_that_libpq_reads_the_same() -> None:
    from psycopg import pq

    value = " it's\\'quoted\\ "
    (found,) = [one for one in pq.Conninfo.parse(written("password", value)) if one.keyword == b"password"]
    assert found.val == value.encode()
