"""Partitions go to other servers for symmetry, when asked to, and before a server ends."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.patience import PATIENCE
from tests.server.owners import Owners, owners
from wsframe.server.ownership.giving import AHEAD, Giving
from wsframe.testing import ClientClosed, Refused


def giving_of(servers: Owners, name: str) -> Giving:
    giving = servers.kits[name].server._internals.owner.giving  # type: ignore[attr-defined]
    assert isinstance(giving, Giving)
    return giving


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
            early = len(servers.owned("b").here)
            assert 5 <= early <= 11
            await trio.sleep(150)
            counts = [len(servers.owned(name).here) for name in servers.kits]
            assert sum(counts) == 256
            assert abs(counts[0] - counts[1]) <= 2
            assert servers.holds("a", path)
            client.send_text("still here")
            assert await client.receive() == "still here"


async def test_rebalancing_shares_the_partitions_with_clients(autojump_clock: MockClock) -> None:
    async with owners("a") as servers:
        await trio.sleep(3)
        paths = {servers.partition("a", path): path for path in (f"/room/{number}" for number in range(20))}
        closed: list[int | None] = []

        async def stay(path: str) -> None:
            client = await servers.kits["a"].connect(path, patience=1000)
            closed.append((await client.closed()).code)
            while True:
                with suppress(Refused):
                    await (await servers.kits["b"].connect(path, patience=1000)).closed()
                await trio.sleep(1)

        async with servers.serving("b"), trio.open_nursery() as nursery:
            for path in paths.values():
                nursery.start_soon(stay, path)
            await trio.sleep(180)  # for symmetry b has half of the partitions by now, most of them without clients
            before = [len(servers.owned(name).leased.crowds()) for name in servers.kits]
            assert [len(servers.owned(name).here) for name in servers.kits] == [128, 128]
            assert before == [len(paths), 0]
            giving_of(servers, "b").rebalance()
            await trio.sleep(2 * len(paths))
            assert closed == [1012] * (len(paths) // 2)
            assert [len(servers.owned(name).leased.crowds()) for name in servers.kits] == [
                len(paths) - len(paths) // 2,
                len(paths) // 2,
            ]
            nursery.cancel_scope.cancel()
            counts = [len(servers.owned(name).here) for name in servers.kits]
            assert abs(counts[0] - counts[1]) < 2
            assert not any(giving_of(servers, name)._rebalance_until for name in servers.kits)


async def test_a_single_partition_with_clients_goes_last_and_its_clients_come_back(autojump_clock: MockClock) -> None:
    async with owners("a") as servers:
        await trio.sleep(3)
        path = path_of(servers, "a")
        client = await servers.kits["a"].connect(path, patience=1000)
        partition, giving = servers.partition("a", path), giving_of(servers, "a")
        assert partition not in giving._shareable()
        async with servers.serving("b"):
            await trio.sleep(2)
            giving_of(servers, "b").rebalance()
            await trio.sleep(0.1)  # all servers hear of it
            assert list(giving._shareable())[-1] == partition
            await giving.give(partition, servers.owned("b").node)
            with pytest.raises(ClientClosed) as caught:
                await client.receive()
            assert caught.value.code == 1012
            again = await servers.kits["b"].connect(path, patience=1000)
            again.send_text("hello")
            assert await again.receive() == "hello"


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
        assert len(servers.owned("a").here) == 256
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


async def test_a_hook_that_hangs_keeps_no_partition_from_its_taker(autojump_clock: MockClock) -> None:
    async with owners("a", "b") as servers:
        await trio.sleep(3)
        path = path_of(servers, "a")
        partition = servers.partition("a", path)
        client = await servers.kits["a"].connect(path, patience=1000)
        client.send_text("hang")
        await trio.sleep(0.1)
        with trio.fail_after(PATIENCE):
            await giving_of(servers, "a").give(partition, servers.owned("b").node)
        assert "end" in servers.diary.acts("a")
        again = await servers.kits["b"].connect(path, patience=1000)
        again.send_text("hello")
        assert await again.receive() == "hello"


async def test_a_give_releases_only_the_lease_that_it_began_with(autojump_clock: MockClock) -> None:
    async with owners("a") as servers:
        await trio.sleep(3)
        path = path_of(servers, "a")
        owned, partition = servers.owned("a"), servers.partition("a", path)
        client = await servers.kits["a"].connect(path, patience=1000)
        client.send_text("wait")
        await trio.sleep(0.1)
        first = owned.here.get(partition)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(giving_of(servers, "a").give, partition, "")
            await trio.sleep(0.1)
            await owned.release([partition])
            owned.want([partition])
            while owned.here.get(partition) in (first, None):  # noqa: ASYNC110
                await trio.sleep(0.01)
            second = owned.here.get(partition)
        assert owned.here.get(partition) == second
        assert owned.holds(partition)


async def test_a_give_that_comes_after_the_loss_does_nothing(autojump_clock: MockClock) -> None:
    async with owners("a") as servers:
        await trio.sleep(3)
        owned = servers.owned("a")
        await owned.release([7])
        await giving_of(servers, "a").give(7, "")
        owned.close(7)
        owned.want([7])
        await trio.sleep(1)
        assert owned.holds(7)


async def test_a_life_in_a_partition_that_is_being_left_takes_no_newcomer(autojump_clock: MockClock) -> None:
    async with owners("a", "b") as servers:
        await trio.sleep(3)
        path = path_of(servers, "a")
        partition = servers.partition("a", path)
        await servers.kits["a"].connect(path, patience=1000)
        (life,) = servers.owned("a").leased.lives(partition)
        assert life.open
        async with trio.open_nursery() as nursery:
            nursery.start_soon(giving_of(servers, "a").give, partition, servers.owned("b").node)
            await wait_all_tasks_blocked()
            assert life.usable  # the other servers are told first
            await trio.sleep(AHEAD)
            await wait_all_tasks_blocked()
            assert not life.usable


async def test_rebalancing_ends_when_all_have_as_many(autojump_clock: MockClock) -> None:
    async with owners("a", "b") as servers:
        await trio.sleep(3)
        path = path_of(servers, "a")
        await servers.kits["a"].connect(path, patience=1000)
        giving = giving_of(servers, "a")
        counts = [len(servers.owned(name).here) for name in servers.kits]
        await trio.sleep(abs(counts[0] - counts[1]))
        giving.rebalance()
        assert servers.partition("a", path) in giving._shareable()
        await trio.sleep(3)
        assert servers.partition("a", path) not in giving._shareable()
