"""Which partitions live in a process."""

from __future__ import annotations

import pytest

from wsframe.workers.partitions import EVERYWHERE, ONE, PARTITIONS
from wsframe.workers.placement import Placement


def test_alone_every_partition_is_here() -> None:
    alone = Placement.alone()
    assert all(alone.is_here(partition) for partition in (EVERYWHERE, *range(PARTITIONS)))
    assert not alone.spread


@pytest.mark.parametrize("count", [2, 3, 4, 7, 256, 300])
def test_1_each_partition_lives_in_exactly_one_process(count: int) -> None:
    placements = [Placement(slot, count) for slot in range(count)]
    for partition in range(PARTITIONS):
        here = [placement.slot for placement in placements if placement.is_here(partition)]
        assert here == [placements[0].slot_of(partition)]


def test_what_is_shared_lives_in_every_process() -> None:
    assert all(Placement(slot, 3).is_here(EVERYWHERE) for slot in range(3))


def test_scope_one_lives_in_the_first_worker() -> None:
    assert [Placement(slot, 3).is_here(ONE) for slot in range(3)] == [True, False, False]


@pytest.mark.parametrize(("slot", "count"), [(-1, 2), (2, 2), (0, 0)])
def test_there_is_no_slot_beyond_the_workers(slot: int, count: int) -> None:
    with pytest.raises(ValueError, match=f"not {slot}"):
        Placement(slot, count)
