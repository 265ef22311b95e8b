"""A soak tells growth from noise, and its load runs."""

import os
from random import Random

import pytest

from tests.soak.growth import Sample, growth, percentile, verdict
from tests.soak.load import Load, serving


def samples(*, rise: float = 0.0, descriptors: float = 0.0) -> list[Sample]:
    random = Random(1)
    return [
        Sample(
            float(at),
            int(30_000 + rise * at + random.uniform(-200, 200)),
            int(50 + descriptors * at + random.uniform(-5, 5)),
            20, 40, 1.0, 2.0,
        )
        for at in range(100)
    ]  # fmt: skip


IDLE = Sample(0.0, 30_000, 10, 20, 1, 0.0, 0.0)


def test_growth_is_what_the_line_through_the_points_rises_by() -> None:
    assert growth([(0, 5), (1, 7), (2, 9)]) == pytest.approx(4)
    assert growth([(3, 5)]) == growth([]) == 0


def test_a_steady_server_passes() -> None:
    lines, faults = verdict(samples(), IDLE, IDLE)
    assert faults == []
    assert len(lines) == 5


def test_growing_memory_fails() -> None:
    assert "resident KiB grew" in verdict(samples(rise=100), IDLE, IDLE)[1][0]


def test_growing_descriptors_fail() -> None:
    assert "descriptors grew" in verdict(samples(descriptors=0.3), IDLE, IDLE)[1][0]


def test_descriptors_left_at_the_end_fail() -> None:
    assert verdict(samples(), IDLE, IDLE._replace(descriptors=12))[1] == [
        "2 descriptors left when all clients had gone"
    ]  # fmt: skip


def test_percentiles() -> None:
    assert (percentile([3, 1, 2], 0.5), percentile([1, 2, 3], 0.99), percentile([], 0.5)) == (2, 3, 0)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="samples are read from /proc")
async def test_a_short_run() -> None:
    with serving() as (pid, address):
        load = Load(pid, address, visitors=5)
        before, after = await load.run(2)
    assert load.faults == []
    assert load.samples
    assert load.latencies
    assert (before.descriptors, before.tasks) == (after.descriptors, after.tasks)
