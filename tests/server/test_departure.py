"""Few clients leave in one step, many in batches at random times; a group is never divided."""

from random import Random

import pytest
import trio
from trio.testing import MockClock

from wsframe.server.departure import depart, planned


def singles(count: int) -> list[list[int]]:
    return [[number] for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 100])
def test_up_to_a_hundred_leave_in_one_step(count: int) -> None:
    assert planned(singles(count), 6) == [(0.0, list(range(count)))]


@pytest.mark.parametrize("count", [101, 2_000, 12_345])
def test_more_leave_in_batches_spread_over_the_time(count: int) -> None:
    batches = planned(singles(count), 6, Random(1))
    times, sizes = [at for at, _ in batches], [len(batch) for _, batch in batches]
    assert len(batches) >= 20
    assert max(sizes) <= 101
    assert max(sizes) - min(sizes) <= 1
    assert times == sorted(times)
    step = 6 / len(batches)
    assert all(step * at <= time < step * (at + 1) for at, time in enumerate(times)), "one in each share of the time"
    members = [one for _, batch in batches for one in batch]
    assert sorted(members) == list(range(count))
    assert members != list(range(count)), "in an order that clients cannot make use of"


def test_times_differ_from_drain_to_drain() -> None:
    assert len({planned(singles(200), 6, Random(seed))[0][0] for seed in range(10)}) == 10


def test_without_time_all_leave_in_one_step() -> None:
    assert planned(singles(500), 0) == [(0.0, list(range(500)))]


def test_a_group_leaves_in_one_step() -> None:
    groups = [range(start, start + size) for start, size in ((0, 150), (1000, 3), (2000, 80), (3000, 1), (4000, 0))]
    batches = planned(groups, 6, Random(3))
    for group in groups:
        assert sum(bool(set(group).intersection(batch)) for _, batch in batches) == bool(group)
    assert sorted(one for _, batch in batches for one in batch) == sorted(one for group in groups for one in group)


async def test_nobody_waits_for_those_that_have_gone(autojump_clock: MockClock) -> None:
    told: list[int] = []
    await depart(singles(1000), 6, told.extend, lambda number: number % 2 == 0)
    assert sorted(told) == list(range(0, 1000, 2))
    await depart(singles(1000), 6, told.extend, lambda number: False)
    assert len(told) == 500
    assert trio.current_time() < 6, "the second time has no batch to wait for"
