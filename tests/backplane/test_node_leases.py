"""A node acts for a key only while it surely holds its lease."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
from trio.testing import MockClock

from wsframe.backplane.hub import Hub
from wsframe.backplane.interface import MARGIN, Lease
from wsframe.backplane.node_leases import LEASE, RENEWALS, NodeLeases


class Engine:
    """Grants leases by trio's clock, and can be out of reach."""

    def __init__(self) -> None:
        self.hub = Hub(trio.current_time, lambda: int(trio.current_time() * 1_000_000))
        self.away = False
        self.delay = 0.0
        self.requests = 0

    def of(self, node: str) -> Side:
        return Side(self, node)


class Side:
    """The engine as one node sees it."""

    def __init__(self, engine: Engine, node: str) -> None:
        self.engine = engine
        self.node = node

    async def _ask(self) -> bool:
        self.engine.requests += 1
        await trio.sleep(max(self.engine.delay, 0.001))
        return not self.engine.away

    async def acquire(self, keys: Sequence[str], seconds: float) -> list[Lease | str]:
        until = trio.current_time() + seconds - MARGIN
        if not await self._ask():
            return [""] * len(keys)
        answers = self.engine.hub.acquire(self.node, keys, seconds)
        return [one if isinstance(one, str) else Lease(key, one, until) for key, one in zip(keys, answers, strict=True)]

    async def renew(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        until = trio.current_time() + seconds - MARGIN
        if not await self._ask():
            return [None] * len(leases)
        held = self.engine.hub.renew([(lease.key, lease.token) for lease in leases], seconds)
        return [lease._replace(until=until) if still else None for lease, still in zip(leases, held, strict=True)]

    async def release(self, leases: Sequence[Lease]) -> None:
        if await self._ask():
            self.engine.hub.release([(lease.key, lease.token) for lease in leases])


@asynccontextmanager
async def owner(engine: Engine, node: str) -> AsyncIterator[tuple[NodeLeases, list[str]]]:
    lost: list[str] = []
    ownership = NodeLeases(engine.of(node), lost.append, clock=trio.current_time)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ownership.run)
        yield ownership, lost
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], object]) -> None:
    """Look for a condition, each time a little later."""
    while True:
        if condition():
            return
        await trio.sleep(0.01)


async def test_one_request_renews_all_leases_four_times_in_their_length(autojump_clock: MockClock) -> None:
    engine = Engine()
    async with owner(engine, "a") as (a, lost):
        assert await a.acquire(str(number) for number in range(256)) == {}
        engine.requests = 0
        await trio.sleep(60)
        assert engine.requests <= 60 / LEASE * 4
        assert len(a.keys) == 256
        assert lost == []


async def test_an_owner_out_of_reach_stops_before_another_begins(autojump_clock: MockClock) -> None:
    engine = Engine()
    async with owner(engine, "a") as (a, lost), owner(engine, "b") as (b, _):
        await a.acquire(["k"])
        first = a.lease("k")
        engine.away = True
        await until(lambda: lost)
        assert not a.holds("k")
        stopped = trio.current_time()
        engine.away = False
        while not b.holds("k"):
            await b.acquire(["k"])
        assert trio.current_time() > stopped  # it gave the lease back, or the engine saw its end
        second = b.lease("k")
        assert first is not None
        assert second is not None
        assert second.token > first.token


async def test_a_short_fault_of_the_engine_costs_no_lease(autojump_clock: MockClock) -> None:
    engine = Engine()
    async with owner(engine, "a") as (a, lost):
        await a.acquire(["k"])
        for _ in range(20):
            await trio.sleep(LEASE / 3)
            engine.away = not engine.away
        assert a.holds("k")
        assert lost == []


async def test_an_owner_that_was_stopped_holds_nothing_when_it_goes_on(autojump_clock: MockClock) -> None:
    engine = Engine()
    async with owner(engine, "a") as (a, lost):
        await a.acquire(["k"])
        autojump_clock.jump(LEASE)  # as SIGSTOP does: no task has had a turn
        assert not a.holds("k")
        assert a.lease("k") is None
        await trio.sleep(1)
        assert lost == ["k"]


async def test_a_key_that_was_lost_is_reported_before_it_is_acquired_again(autojump_clock: MockClock) -> None:
    engine = Engine()
    async with owner(engine, "a") as (a, lost):
        await a.acquire(["k"])
        autojump_clock.jump(LEASE + 1)
        assert await a.acquire(["k"]) == {}
        assert lost == ["k"]
        assert a.keys == ["k"]


async def test_an_answer_that_comes_too_late_is_no_lease(autojump_clock: MockClock) -> None:
    engine = Engine()
    async with owner(engine, "a") as (a, _):
        engine.delay = LEASE
        assert await a.acquire(["k"]) == {"k": ""}
        assert a.keys == []


async def test_keys_of_others_are_named_and_keys_given_back_are_free(autojump_clock: MockClock) -> None:
    engine = Engine()
    async with owner(engine, "a") as (a, lost), owner(engine, "b") as (b, _):
        await a.acquire(["k", "l"])
        assert await b.acquire(["k", "m"]) == {"k": "a"}
        await a.release(["k", "unknown"])
        assert not a.holds("k")
        assert await b.acquire(["k"]) == {}
        assert b.keys == ["m", "k"]
        assert lost == []


async def test_a_lease_given_back_while_it_is_renewed_stays_given_back(autojump_clock: MockClock) -> None:
    engine = Engine()
    async with owner(engine, "a") as (a, lost):
        await a.acquire(["k"])
        engine.delay = 0.5
        await trio.sleep(LEASE / 3 + 0.1)  # the renewal is under way
        await a.release(["k"])
        await trio.sleep(LEASE)
        assert a.keys == []
        assert lost == []


@pytest.mark.parametrize("seed", range(10))
async def test_two_nodes_never_act_at_once_whatever_fails(autojump_clock: MockClock, seed: int) -> None:
    random, engine = Random(seed), Engine()
    async with owner(engine, "a") as (a, _), owner(engine, "b") as (b, _):
        tokens = [0]
        for _ in range(200):
            await trio.sleep(random.uniform(0, 1))
            engine.away = random.random() < 0.4
            engine.delay = random.choice((0.0, 0.1, 3.0))
            node = random.choice((a, b))
            await node.acquire(["k"])
            if random.random() < 0.1:
                await node.release(["k"])
            acting = [one for one in (a, b) if one.holds("k")]
            assert len(acting) <= 1
            for one in acting:
                lease = one.lease("k")
                assert lease is not None
                assert lease.token >= tokens[-1]
                tokens.append(lease.token)
        assert len(set(tokens)) > 2


async def test_a_renewal_that_fails_is_repeated_soon(autojump_clock: MockClock) -> None:
    engine = Engine()
    async with owner(engine, "a") as (a, lost):
        await a.acquire(["k"])
        engine.away = True
        await trio.sleep((LEASE - MARGIN) / RENEWALS + 0.1)
        before = engine.requests
        engine.away = False
        await trio.sleep(0.4)
        lease = a.lease("k")
        assert engine.requests == before + 1
        assert lease is not None
        assert lease.until > trio.current_time() + LEASE - MARGIN - 0.5
        assert lost == []


async def test_a_lease_of_which_the_answer_came_too_late_is_given_back(autojump_clock: MockClock) -> None:
    engine = Engine()
    async with owner(engine, "a") as (a, _), owner(engine, "b") as (b, _):
        engine.delay = LEASE - MARGIN + 0.1
        assert await a.acquire(["k"]) == {"k": ""}
        engine.delay = 0.0
        await b.acquire(["other"])
        engine.hub.renew([("k", engine.hub._held["k"].token)], 1000)  # as if it ended much later
        await trio.sleep(2)
        assert await b.acquire(["k"]) == {}


async def test_a_lease_that_a_late_renewal_has_prolonged_is_given_back_once_the_engine_is_reached(
    autojump_clock: MockClock,
) -> None:
    engine = Engine()
    async with owner(engine, "a") as (a, lost), owner(engine, "b") as (b, _):
        await a.acquire(["k"])
        token = engine.hub._held["k"].token
        engine.away = True
        await until(lambda: lost)
        await trio.sleep(0.4)  # the first try to give it back has failed
        engine.hub.renew([("k", token)], LEASE)
        engine.away = False
        await trio.sleep(2)
        assert await b.acquire(["k"]) == {}


async def test_an_engine_that_answers_nothing_is_noticed_and_one_that_names_an_owner_is_not(
    autojump_clock: MockClock,
) -> None:
    engine = Engine()
    async with owner(engine, "a") as (a, _), owner(engine, "b") as (b, _):
        await a.acquire(["k"])
        for _ in range(20):
            await trio.sleep(0.5)
            await b.acquire(["k"])
            assert (a.fruitless, b.fruitless) == (0, 0)
        engine.away = True
        for _ in range(20):
            await trio.sleep(0.5)
            await b.acquire(["k"])
        assert b.fruitless > 9
        await trio.sleep(3)  # it wants none any more
        assert b.fruitless == 0


def test_leases_that_are_too_short_are_refused() -> None:
    for seconds in (0.0, 1.9, float("nan")):
        with pytest.raises(ValueError, match="at least 2 s"):
            NodeLeases(None, print, seconds=seconds)  # type: ignore[arg-type]


async def test_a_lease_whose_renewal_is_answered_too_late_is_given_back(autojump_clock: MockClock) -> None:
    engine = Engine()
    async with owner(engine, "a") as (ownership, lost):
        await ownership.acquire(["k"])
        engine.delay = LEASE - (LEASE - MARGIN) / RENEWALS - MARGIN / 2  # the engine still has it then, not the node
        await until(lambda: lost)
        engine.delay = 0.0
        await trio.sleep(MARGIN)
        assert isinstance(engine.hub.acquire("b", ["k"], LEASE)[0], int)


@pytest.mark.parametrize("seconds", [2.0, 3.0, 5.0])
@pytest.mark.parametrize("patience", [0.001, 2.0])
async def test_two_of_three_renewals_can_fail_however_late_they_do(
    autojump_clock: MockClock, seconds: float, patience: float
) -> None:
    engine, lost, asked = Engine(), list[str](), 0
    side = engine.of("a")
    renew = side.renew

    async def failing(leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        nonlocal asked
        asked += 1
        if asked % 3:
            await trio.sleep(patience)
            return [None] * len(leases)
        return await renew(leases, seconds)

    side.renew = failing  # type: ignore[method-assign]
    ownership = NodeLeases(side, lost.append, seconds=seconds, clock=trio.current_time)
    async with trio.open_nursery() as nursery:
        await ownership.acquire(["k"])
        nursery.start_soon(ownership.run)
        await trio.sleep(60)
        assert lost == []
        assert ownership.holds("k")
        nursery.cancel_scope.cancel()


async def test_a_late_answer_of_an_older_renewal_shortens_no_lease(autojump_clock: MockClock) -> None:
    engine, every = Engine(), (LEASE - MARGIN) / RENEWALS
    async with owner(engine, "a") as (a, _):
        await a.acquire(["k"])
        engine.delay = 1.5 * every
        await trio.sleep(1.2 * every)  # the first renewal waits for its answer, until after that of the second
        engine.delay = 0.0
        await trio.sleep(every)
        second = a.lease("k")
        await trio.sleep(0.5 * every)
        assert second is not None
        assert second.until > trio.current_time() + LEASE - MARGIN - every
        assert a.lease("k") == second
