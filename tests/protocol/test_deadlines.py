"""The deadlines of one connection, on a clock that stands still between the lines."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.limits import Timeouts
from wsframe.protocol.deadlines import LONGEST, Deadlines, Due, Patience

TIMEOUTS = Timeouts(handshake=10, ping_interval=20, ping_timeout=15, write_stall=30, close=5, drain=10)


def deadlines(timeouts: Timeouts = TIMEOUTS) -> Deadlines:
    return Deadlines(timeouts, 100.0)


def test_a_ping_is_due_after_silence_and_not_before() -> None:
    it = deadlines()
    assert it.next() == 120
    assert it.due(119.9) == []
    assert it.due(120) == [Due.PING]


def test_a_ping_is_not_due_while_data_flows() -> None:
    it = deadlines()
    for now in range(100, 300, 19):
        assert it.due(now) == []
        it.heard_at = now
    assert it.next() == it.heard_at + 20


def test_asking_has_no_effect() -> None:
    it = deadlines()
    assert it.due(120) == it.due(120) == [Due.PING]


def test_silence_after_a_ping_is_a_dead_peer() -> None:
    it = deadlines()
    it.ping_at = 120
    assert it.next() == 135
    assert it.due(134.9) == []
    assert it.due(135) == [Due.PING_TIMEOUT]


def test_anything_heard_after_the_ping_counts_as_life() -> None:
    """Also where the pong itself never comes: the peer is alive, and is pinged again after silence."""
    it = deadlines()
    it.ping_at = 120
    it.heard_at = 121
    assert it.next() == 141
    assert it.due(140) == []
    assert it.due(141) == [Due.PING]


def test_what_was_heard_as_the_ping_went_out_is_no_answer() -> None:
    it = deadlines()
    it.ping_at = it.heard_at = 120
    assert it.due(135) == [Due.PING_TIMEOUT]


@pytest.mark.parametrize(("ping_at", "again"), [(None, 120), (110, 130)])
def test_a_peer_that_we_do_not_read_is_pinged_and_never_given_up(ping_at: float | None, again: float) -> None:
    """Its kernel acknowledges the ping, or answers with a reset."""
    it = deadlines()
    it.ping_at = ping_at
    it.paused = True
    assert it.next() == again
    assert it.due(again) == [Due.PING]
    assert it.due(10_000) == [Due.PING]
    it.sent_ping(b"x", 10_000)
    assert it.next() == 10_020


def test_a_paused_peer_still_has_its_write_stall() -> None:
    it = deadlines()
    it.paused = True
    it.blocked_at = 110
    assert it.next() == 140
    assert it.due(139.9) == []
    assert it.due(140) == [Due.WRITE_STALL]


@pytest.mark.parametrize("ping_at", [None, 105])
def test_while_the_kernel_refuses_bytes_only_the_write_stall_counts(ping_at: float | None) -> None:
    """The ping may wait behind a large frame."""
    it = deadlines()
    it.ping_at = ping_at
    it.blocked_at = 110
    assert it.due(139.9) == []
    assert it.due(140) == [Due.WRITE_STALL]


def test_the_end_has_its_own_deadline_and_needs_no_ping() -> None:
    it = deadlines()
    it.close_by = 150
    assert it.next() == 150
    assert it.due(149.9) == []
    assert it.due(150) == [Due.CLOSE]


def test_without_an_interval_nothing_is_ever_due() -> None:
    it = deadlines(replace(TIMEOUTS, ping_interval=None))
    assert it.next() == inf
    assert it.due(1e9) == []


def test_the_pong_of_the_last_ping_is_its_latency_and_counts_once() -> None:
    it = deadlines()
    it.sent_ping(b"first", 120)
    it.sent_ping(b"second", 121)
    assert not it.take_pong(b"first", 121.5)
    assert it.take_pong(b"second", 122)
    assert (it.latency, it.ping_at) == (1, None)
    assert not it.take_pong(b"second", 123)
    assert not it.take_pong(b"", 123)


def test_a_pong_behind_a_pause_is_ours_but_tells_no_latency() -> None:
    it = deadlines()
    it.sent_ping(b"ours", 120)
    it.paused = True
    it.resume(500)
    assert it.next() == 520
    assert it.take_pong(b"ours", 501)
    assert it.latency is None


def test_a_ping_that_may_have_waited_behind_a_large_frame_is_sent_anew() -> None:
    it = deadlines()
    it.sent_ping(b"ours", 120)
    it.block(121, 1000, progress=False)
    it.unblock(149)
    assert it.due(168.9) == []
    assert it.due(169) == [Due.PING]


def test_without_progress_the_stall_began_when_it_began() -> None:
    it = deadlines()
    it.block(110, 1000, progress=False)
    it.block(120, 900, progress=False)
    assert it.next() == 140
    it.block(130, 800, progress=True)
    assert it.next() == 160


@pytest.mark.parametrize(("left", "stalled"), [(1001, True), (1000, True), (999, False), (0, False), (None, True)])
def test_a_peer_whose_window_moves_is_not_stalled(left: int | None, stalled: bool) -> None:
    it = deadlines()
    it.block(110, 1000, progress=False)
    assert it.stalled(140, left) is stalled
    assert it.next() == (140 if stalled else 170)
    assert it.stalled(170, left)  # it must have moved again


def test_the_last_word_comes_first() -> None:
    """A deadline that ends the connection is named before one that only asks for more."""
    it = deadlines()
    it.close_by = it.blocked_at = 100
    assert it.due(200) == [Due.CLOSE, Due.WRITE_STALL]


times = st.floats(0, 1000)


@given(
    heard_at=times,
    ping_at=st.none() | times,
    blocked_at=st.none() | times,
    close_by=st.none() | times,
    paused=st.booleans(),
)
def test_next_is_exactly_when_something_becomes_due(
    heard_at: float,
    ping_at: float | None,
    blocked_at: float | None,
    close_by: float | None,
    paused: bool,
) -> None:
    """Neither a wake-up for nothing nor a deadline slept through."""
    it = deadlines()
    it.heard_at, it.ping_at, it.blocked_at = heard_at, ping_at, blocked_at
    it.close_by, it.paused = close_by, paused
    when = it.next()
    if when == inf:
        assert it.due(1e9) == []
    else:
        assert it.due(when)
        assert it.due(when - 0.001) == []


def looks(patience: Patience, progress: bool) -> int:
    """Count the looks until patience is at its end."""
    count = 1
    while patience.lasts(progress=progress):
        count += 1
    return count


@pytest.mark.parametrize("timeout", [0, 0.1, 0.25, 1, 5, 600])
def test_patience_without_progress_ends_after_the_timeout(timeout: float) -> None:
    patience = Patience(timeout)
    assert looks(patience, progress=False) * patience.step == pytest.approx(timeout)


@pytest.mark.parametrize("timeout", [0, 0.1, 0.25, 1, 5, 600])
def test_patience_with_progress_is_bounded(timeout: float) -> None:
    patience = Patience(timeout)
    assert looks(patience, progress=True) * patience.step == pytest.approx(LONGEST * timeout)


def test_patience_begins_again_with_each_progress() -> None:
    patience = Patience(5)
    for _ in range(10):
        assert patience.lasts(progress=False)
        assert patience.lasts(progress=False)
        assert patience.lasts(progress=True)


def test_patience_without_a_timeout_has_no_end() -> None:
    assert Patience(inf).step == inf
