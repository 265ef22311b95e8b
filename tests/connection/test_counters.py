"""The numbers that a server counts, and their bounds."""

import pytest

from wsframe.connection.counters import BOUNDS, OTHER, DurationBuckets, PathCounters, ServerCounters
from wsframe.protocol.events import Ended


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (0.0001, 0), (0.00011, 1), (0.002, 4), (10.0, len(BOUNDS) - 1), (10.1, len(BOUNDS)), (1e9, len(BOUNDS))],
)
def test_a_duration_counts_in_the_first_bucket_whose_bound_it_does_not_exceed(seconds: float, bucket: int) -> None:
    histogram = DurationBuckets()
    histogram.add(seconds, 3)
    assert [at for at, count in enumerate(histogram.counts) if count] == [bucket]
    assert (sum(histogram.counts), histogram.seconds) == (3, 3 * seconds)


def test_codes_that_are_not_registered_count_as_one() -> None:
    """A peer can send two thousand of them."""
    counters = ServerCounters()
    for code in (1000, 1006, 1006, 1004, 1016, 2999, *range(3000, 5000)):
        counters.ended(Ended(code, "connection lost", clean=True))
    assert counters.closes == {"1000": 1, "1006": 2, OTHER: 2003}


def test_a_reset_by_us_counts_by_its_reason_and_one_by_the_peer_does_not() -> None:
    counters = ServerCounters()
    for code, reason in ((1006, "ping timeout"), (1006, "outbox full"), (1006, "connection lost"), (1000, "bye")):
        counters.ended(Ended(code, reason, clean=code == 1000))
    assert {reason: count for reason, count in counters.evictions.items() if count} == {
        "ping_timeout": 1,
        "outbox_full": 1,
    }


def test_errors_count_by_hook() -> None:
    counters = PathCounters()
    for hook in ("received_text", "disconnected", "received_text"):
        counters.failed(hook)
    assert counters.failures == {"client_connected": 0, "received_text": 2, "received_binary": 0, "disconnected": 1}


def test_counts_that_alerts_watch_begin_at_nothing() -> None:
    """Of a series that begins at 1 Prometheus sees no increase."""
    counters = ServerCounters()
    assert counters.pauses == {"memory": 0, "queue": 0, "rate": 0}
    assert counters.evictions["outbox_full"] == PathCounters().failures["received_text"] == 0
