"""Growth: a trend after warm-up, beyond stated bounds."""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Sample", "growth", "percentile", "verdict"]

WARM_UP = 0.25
"""The part of the run that is not judged: pools and caches fill."""
MAY_GROW_KIB = 4096
"""Most by which the resident memory's trend can rise, from the end of the warm-up to the end of the run."""
MAY_GROW_DESCRIPTORS = 10
"""Likewise, for the descriptors: clients come and go at random."""
MAY_GROW_TASKS = 5


class Sample(NamedTuple):
    """The figures of one time."""

    at: float
    resident_kib: int
    descriptors: int
    tasks: int
    clients: int
    p50: float
    """Milliseconds of an echo's round trip: the median since the last sample."""
    p99: float


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value below which ``part`` of the values lie; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def growth(points: Sequence[tuple[float, float]]) -> float:
    """Return the rise, from first to last, of the straight line nearest to the points (least squares)."""
    count = len(points)
    if count < 2:
        return 0.0
    middle = sum(x for x, _ in points) / count
    mean = sum(y for _, y in points) / count
    spread = sum((x - middle) ** 2 for x, _ in points)
    slope = sum((x - middle) * (y - mean) for x, y in points) / spread if spread else 0.0
    return slope * (points[-1][0] - points[0][0])


def verdict(samples: Sequence[Sample], before: Sample, after: Sample) -> tuple[list[tuple[str, str]], list[str]]:
    """Judge a run: lines for the report, and the faults.

    Args:
        samples: Taken during the load.
        before: Taken without any clients, at the start.
        after: Likewise, at the end.
    """
    judged = [sample for sample in samples if sample.at >= WARM_UP * samples[-1].at] if samples else []
    lines, faults = [], []
    for name, bound, points in (
        ("resident KiB", MAY_GROW_KIB, [(sample.at, float(sample.resident_kib)) for sample in judged]),
        ("descriptors", MAY_GROW_DESCRIPTORS, [(sample.at, float(sample.descriptors)) for sample in judged]),
        ("tasks", MAY_GROW_TASKS, [(sample.at, float(sample.tasks)) for sample in judged]),
    ):
        rise = growth(points)
        lines.append((f"{name}: trend after warm-up", f"{rise:+.1f} (at most {bound:+})"))
        if rise > bound:
            faults.append(f"{name} grew by {rise:.1f}, more than {bound}")
    for name, first, last in (
        ("descriptors", before.descriptors, after.descriptors),
        ("tasks", before.tasks, after.tasks),
    ):
        lines.append((f"{name} without clients", f"{first} before, {last} after"))
        if last > first:
            faults.append(f"{last - first} {name} left when all clients had gone")
    return lines, faults
