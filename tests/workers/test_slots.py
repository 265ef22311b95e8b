"""The supervisor's tables: beats that come or not, and pauses before a successor."""

from __future__ import annotations

import errno
from math import inf

import pytest

from wsframe.workers.board import SlotState
from wsframe.workers.slots import (
    LATE,
    LONGEST_PAUSE,
    LOOK,
    STEADY,
    SUSPICIOUS,
    Act,
    Looks,
    ProcessWatch,
    RestartBackoff,
    reason_of,
)


def acts(watch: ProcessWatch, beats: list[int]) -> list[Act]:
    return [act for act in map(watch.look, beats) if act is not None]


def ready(patience: float = 30) -> ProcessWatch:
    watch = ProcessWatch(patience)
    watch.ready()
    return watch


def test_a_process_that_starts_can_take_any_time() -> None:
    watch = ProcessWatch(30)
    assert acts(watch, [0] * 10_000) == []
    assert watch.state is SlotState.STARTING


def test_a_process_that_beats_is_left_alone() -> None:
    watch = ready()
    assert acts(watch, [*range(1, 1000)]) == []
    assert watch.state is SlotState.READY


def test_a_process_that_stands_still_is_warned_of_and_killed_once_after_its_patience() -> None:
    watch = ready(30)
    assert acts(watch, [5] * (SUSPICIOUS + 1)) == [Act.WARN]
    assert watch.state is SlotState.SILENT
    left = int(30 / LOOK) - SUSPICIOUS
    assert acts(watch, [5] * (left - 1)) == []
    assert acts(watch, [5] * 100) == [Act.KILL_SILENT]


def test_a_process_that_never_begins_to_beat_is_killed_too() -> None:
    assert acts(ready(30), [0] * 1000) == [Act.WARN, Act.KILL_SILENT]


def test_a_beat_in_the_last_moment_saves_a_process() -> None:
    watch = ready(30)
    assert acts(watch, [5] * 60) == [Act.WARN]
    assert acts(watch, [6]) == [Act.CALM]
    assert watch.state is SlotState.READY
    assert acts(watch, [6] * 59) == [Act.WARN]


@pytest.mark.parametrize("patience", [0, 0.001, 1])
def test_nobody_is_killed_without_a_warning(patience: float) -> None:
    assert acts(ready(patience), [5] * 20) == [Act.WARN, Act.KILL_SILENT]


def test_without_patience_set_nobody_is_killed() -> None:
    assert acts(ready(inf), [5] * 10_000) == [Act.WARN]


def test_a_process_that_does_not_leave_is_killed_whatever_its_beats() -> None:
    for watch in (ProcessWatch(30), ready(30)):
        watch.leave_within(13)
        assert acts(watch, [*range(1, 27)]) == []
        assert acts(watch, [*range(27, 100)]) == [Act.KILL_LATE]


def test_a_process_that_leaves_stops_to_beat_without_a_warning() -> None:
    watch = ready(1)
    watch.leave_within(60)
    assert acts(watch, [5] * 100) == []
    assert watch.state is SlotState.READY


def test_a_second_order_to_leave_only_brings_the_end_forward() -> None:
    watch = ready()
    watch.leave_within(2)
    watch.leave_within(60)
    assert acts(watch, [1, 2, 3, 4, 5]) == [Act.KILL_LATE]


def test_a_look_after_a_gap_of_the_supervisor_counts_nothing() -> None:
    looks = Looks(100.0)
    assert [looks.counts(now) for now in (100.5, 101.0, 161.0, 161.5, 161.5 + LATE, 163.0)] == [
        True, True, False, True, False, True,
    ]  # fmt: skip


def test_a_supervisor_that_was_stopped_again_and_again_kills_nobody() -> None:
    looks, watch, now = Looks(0.0), ready(30), 0.0
    for _ in range(1000):
        now += 60
        if looks.counts(now):
            assert watch.look(5) is None
    assert watch.state is SlotState.READY


def test_the_first_successor_starts_at_once_and_later_ones_ever_later() -> None:
    backoff = RestartBackoff(lambda: 1.0)
    pauses = [backoff.pause(steady=False) for _ in range(2000)]
    assert pauses[:5] == [0, 0.5, 1, 2, 4]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE


def test_pauses_differ_by_chance_up_to_half_of_them() -> None:
    least, most = RestartBackoff(lambda: 0.0), RestartBackoff(lambda: 1.0)
    for _ in range(10):
        assert least.pause(steady=False) * 2 == most.pause(steady=False)


def test_a_long_life_makes_the_next_successor_start_at_once() -> None:
    backoff, watch = RestartBackoff(lambda: 1.0), ready()
    assert [backoff.pause(steady=watch.steady) for _ in range(4)] == [0, 0.5, 1, 2]
    acts(watch, [*range(1, int(STEADY / LOOK) + 1)])
    assert watch.steady
    assert [backoff.pause(steady=watch.steady), backoff.pause(steady=False)] == [0, 0.5]


def test_a_process_that_is_excused_is_not_warned_of_for_so_long_and_is_killed_after_its_patience() -> None:
    watch = ready(patience=4)
    watch.excuse(10)
    watch.excuse(1)
    assert [watch.look(0) for _ in range(20)] == [None] * 20
    assert [watch.look(0) for _ in range(8)] == [None, None, Act.WARN, *[None] * 4, Act.KILL_SILENT]


def test_a_silent_process_that_is_excused_is_calm_with_its_next_beat() -> None:
    watch = ready(patience=4)
    assert [watch.look(0) for _ in range(3)] == [None, None, Act.WARN]
    watch.excuse(10)
    assert [watch.look(0), watch.look(1)] == [None, Act.CALM]


def test_the_reason_of_a_start_that_failed_names_a_folder_that_is_missing() -> None:
    assert reason_of(OSError(errno.ENOENT, "No such file or directory", "/srv/old")) == (
        "No such file or directory: /srv/old"
    )
    assert reason_of(OSError(errno.ENOENT, "No such file or directory", b"/srv/\xff")).endswith(": /srv/\udcff")
    assert reason_of(OSError(errno.EAGAIN, "no processes left")) == "no processes left"
    assert reason_of(RuntimeError("can't start new thread")) == "can't start new thread"
