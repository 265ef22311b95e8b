"""Presence over real engines: lists of two servers that are equal again after a cut, and long lists."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

import wsframe
from tests.backplane.postgres_server import postgres_server
from tests.backplane.redis_server import redis_server
from tests.backplane.relays import listening, relay_process
from tests.local_server import local_server_of
from tests.patience import PATIENCE
from tests.requirements import require_package
from wsframe import Member
from wsframe.backplane import Backplane, presence
from wsframe.backplane.postgres.backplane import PostgresBackplane
from wsframe.backplane.redis.backplane import RedisBackplane
from wsframe.backplane.relay.backplane import RelayBackplane
from wsframe.resources.topics.presences import Presences
from wsframe.testing import Kit, open_kit

TOPIC = "room"
ENGINES = ("glide", "coredis", "postgresql", "relay")


class Engine(NamedTuple):
    """A server of an engine."""

    make: Callable[[], Backplane]
    cut: Callable[[], object]
    """Ends all connections."""


class Relays:
    """A relay that can be killed and started again."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._stack = ExitStack()
        self.begin()

    def begin(self) -> None:
        self._stack.enter_context(relay_process(self._listener))

    def end(self) -> None:
        self._stack.close()

    def cut(self) -> None:
        self.end()
        self.begin()


@contextmanager
def engine_running(name: str, folder: Path) -> Iterator[Engine]:
    """Run a server, or skip the test if it or its client library is missing."""
    if name == "relay":
        with listening(path := folder / "relay") as listener:
            relays = Relays(listener)
            try:
                yield Engine(lambda: RelayBackplane(str(path)), relays.cut)
            finally:
                relays.end()
    elif name == "postgresql":
        require_package("psycopg")
        with postgres_server() as postgres:
            yield Engine(lambda: PostgresBackplane(postgres.url), postgres.kill_connections)
    else:
        require_package(name)
        with redis_server(folder) as redis:
            transport = "glide" if name == "glide" else "coredis"
            yield Engine(lambda: RedisBackplane(redis.url, transport=transport), redis.kill_connections)  # type: ignore[arg-type]


@asynccontextmanager
async def two_servers(engine: Engine) -> AsyncIterator[tuple[Kit, Kit]]:
    with trio.fail_after(PATIENCE):
        async with (
            open_kit(wsframe.Resource(), backplane=engine.make()) as one,
            open_kit(wsframe.Resource(), backplane=engine.make()) as two,
        ):
            yield one, two


def presences_of(kit: Kit) -> Presences:
    return local_server_of(kit.server).topics.presences


async def until_members(kits: tuple[Kit, Kit], *keys: str) -> None:
    """Wait until both servers have these members."""
    while True:
        found = [sorted(member.key for member in await kit.server.presence(TOPIC)) for kit in kits]
        if found == [sorted(keys)] * len(kits):
            return
        await trio.sleep(0.05)


@pytest.fixture
def fast_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make all times of presence a tenth."""
    for name in ("HEARTBEAT", "LINGER", "SILENCE", "ASK_AGAIN", "WHOLE_AGAIN"):
        monkeypatch.setattr(presence, name, getattr(presence, name) / 10)


@pytest.mark.parametrize("name", ENGINES)
async def test_the_lists_of_two_servers_are_equal_after_a_cut(name: str, tmp_path: Path, fast_clock: None) -> None:
    with engine_running(name, tmp_path) as engine:
        async with two_servers(engine) as kits:
            one, two = map(presences_of, kits)
            for key in ("ann", "bob", "cleo"):
                one.enter(TOPIC, Member(key))
            two.enter(TOPIC, Member("dan"))
            await until_members(kits, "ann", "bob", "cleo", "dan")
            engine.cut()
            one.enter(TOPIC, Member("eve"))  # which nobody is told for now
            one.leave(TOPIC, "ann", at_once=True)
            two.leave(TOPIC, "dan")
            two.enter(TOPIC, Member("bob"))
            one.leave(TOPIC, "bob")
            await until_members(kits, "bob", "cleo", "eve")
            two.leave(TOPIC, "bob")
            await until_members(kits, "cleo", "eve")


@pytest.mark.parametrize("name", ENGINES)
async def test_a_server_that_looks_later_gets_a_list_of_10_000_members(name: str, tmp_path: Path) -> None:
    keys = [f"user-{number}" for number in range(10_000)]
    with engine_running(name, tmp_path) as engine:
        async with two_servers(engine) as kits:
            for number, key in enumerate(keys):
                presences_of(kits[0]).enter(TOPIC, Member(key, {"number": number}))
            await until_members(kits, *keys)
            assert (await kits[1].server.presence(TOPIC))[17].info == {"number": 17}
