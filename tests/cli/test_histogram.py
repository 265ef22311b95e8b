"""Durations, counted in steps of a percent."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.cli.histogram import LEAST, LatencyHistogram

durations = st.lists(st.floats(LEAST, 1e4), min_size=1, max_size=50)


def made(of: list[float]) -> LatencyHistogram:
    histogram = LatencyHistogram()
    for seconds in of:
        histogram.note(seconds)
    return histogram


@given(durations, st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_right_to_within_two_percent(of: list[float], share: float) -> None:
    exact = sorted(of)[max(0, -int(-share * len(of) // 1) - 1)]
    assert made(of).quantile(share) == pytest.approx(exact, rel=0.02)


@given(durations)
def test_every_duration_is_counted_once(of: list[float]) -> None:
    histogram = made(of)
    bounds = histogram.doublings()
    assert len(histogram) == sum(count for _, count in bounds) == len(of)
    assert histogram.longest == max(of) <= bounds[-1][0] * 1.02
    assert all(after == pytest.approx(2 * before) for (before, _), (after, _) in pairwise(bounds))


def test_without_any_there_is_nothing_to_show() -> None:
    assert (len(LatencyHistogram()), LatencyHistogram().quantile(0.5), LatencyHistogram().doublings()) == (0, 0.0, [])


def test_nothing_takes_no_time_at_all() -> None:
    assert made([0.0, -1.0]).doublings() == [(2 * LEAST, 2)]
