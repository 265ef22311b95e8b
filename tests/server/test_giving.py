"""Partitions go to other servers for symmetry, when asked to, and before a server ends."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.server.owners import Owners, owners
from wsframe.testing import ClientClosed


def path_of(servers: Owners, name: str) -> str:
    """Return a path whose partition a server has."""
    return next(path for n in range(10000) if servers.holds(name, path := f"/room/{n}"))


async def test_a_joiner_gets_one_partition_without_clients_a_second(autojump_clock: MockClock) -> None:
    async with owners("a") as servers:
        await trio.sleep(3)
        path = path_of(servers, "a")
        client = await servers.kits["a"].connect(path, patience=1000)
        async with servers.serving("b"):
            await trio.sleep(10)
            early = len(servers.tenure("b").here)
            assert 5 <= early <= 11
            await trio.sleep(150)
            counts = [len(servers.tenure(name).here) for name in servers.kits]
            assert sum(counts) == 256
            assert abs(counts[0] - counts[1]) <= 2
            assert servers.holds("a", path)
            client.send_text("still here")
            assert await client.receive() == "still here"


async def test_rebalancing_moves_partitions_with_clients_last(autojump_clock: MockClock) -> None:
    async with owners("a", "b") as servers:
        await trio.sleep(3)
        path = path_of(servers, "a")
        client = await servers.kits["a"].connect(path, patience=1000)
        partition = servers.partition("a", path)
        giving = servers.kits["a"].server._engine.owning.giving  # type: ignore[attr-defined]
        assert partition not in giving._shareable()
        servers.kits["b"].server._engine.owning.giving.rebalance()  # type: ignore[attr-defined]
        await trio.sleep(0.1)  # all servers hear of it
        assert list(giving._shareable())[-1] == partition
        await giving.give(partition, servers.tenure("b").node)
        with pytest.raises(ClientClosed) as caught:
            await client.receive()
        assert caught.value.code == 1012
        again = await servers.kits["b"].connect(path, patience=1000)
        again.send_text("hello")
        assert await again.receive() == "hello"
        await trio.sleep(61)
        assert servers.partition("b", path) not in servers.kits["b"].server._engine.owning.giving._shareable()  # type: ignore[attr-defined]


async def test_a_lame_duck_gives_its_partitions_away_while_it_accepts(autojump_clock: MockClock) -> None:
    async with owners("a", "b") as servers:
        await trio.sleep(3)
        path, kit = path_of(servers, "b"), servers.kits["b"]
        client = await kit.connect(path, patience=1000)
        kit.server.close(lame_duck=20)
        with pytest.raises(ClientClosed) as caught:
            await client.receive()
        assert caught.value.code == 1012
        await trio.sleep(15)
        assert len(servers.tenure("a").here) == 256
        again = await servers.kits["a"].connect(path, patience=1000)
        again.send_text("hello")
        assert await again.receive() == "hello"
        assert (await kit.request("/")).status != 503  # it still answers


async def test_no_life_begins_before_the_one_at_the_giver_has_ended(autojump_clock: MockClock) -> None:
    async with owners("a", "b") as servers:
        await trio.sleep(3)
        path = path_of(servers, "b")
        await servers.kits["b"].connect(path, patience=1000)
        servers.kits["b"].server.close(lame_duck=5)
        await trio.sleep(1.5)
        await servers.kits["a"].connect(path, patience=1000)
        ended = next(at for at, by, act, _ in servers.diary.entries if (by, act) == ("b", "end"))
        begun = max(at for at, by, act, _ in servers.diary.entries if (by, act) == ("a", "begin"))
        assert ended <= begun


async def test_a_server_without_others_keeps_its_partitions_until_it_ends(autojump_clock: MockClock) -> None:
    async with owners("a") as servers:
        client = await servers.kits["a"].connect("/one", patience=1000)
        servers.kits["a"].server.close(lame_duck=5)
        await trio.sleep(4)
        client.send_text("hello")
        assert await client.receive() == "hello"
