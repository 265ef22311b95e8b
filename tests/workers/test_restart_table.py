"""The supervisor's table of a rolling restart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsframe.workers.restart_table import Do, RestartTable, Step

PARTITIONS = [(0, 2, 4), (1, 3, 5)]


def begun() -> RestartTable:
    """Return a restart whose first slot is being left."""
    restart = RestartTable(PARTITIONS, drain=8)
    assert restart.go_on(0) == [Step(Do.START, 0)]
    assert restart.new_ready(0, 1) == [Step(Do.LEAVE, 0)]
    return restart


def test_slots_are_restarted_one_after_another() -> None:
    restart = begun()
    assert restart.go_on(1) == []
    assert restart.over(0, [2]) == [Step(Do.BEGIN, 0, (2,))]
    assert restart.over(0, [0, 2, 4]) == [Step(Do.BEGIN, 0, (0, 4))]
    assert restart.slot == 0
    assert restart.old_gone(0) == []
    assert restart.go_on(2) == [Step(Do.START, 1)]
    assert restart.new_ready(1, 3) == [Step(Do.LEAVE, 1)]
    assert restart.old_gone(1) == [Step(Do.BEGIN, 1, (1, 3, 5))]
    assert restart.done
    assert not restart.failure
    assert restart.go_on(4) == []


def test_workers_6_an_end_before_the_turn_of_a_partition_begins_it_after_the_reaping() -> None:
    restart = begun()
    assert restart.over(0, [4]) == [Step(Do.BEGIN, 0, (4,))]
    assert restart.old_gone(0) == [Step(Do.BEGIN, 0, (0, 2))]


def test_workers_6_partitions_of_other_slots_are_not_begun() -> None:
    restart = begun()
    assert restart.over(0, [1, 3]) == []
    assert restart.over(1, [1]) == []
    assert restart.new_ready(1, 1) == []


def test_a_new_worker_that_is_not_ready_in_time_leaves_the_old_one_alone() -> None:
    restart = RestartTable(PARTITIONS, drain=8)
    restart.go_on(0)
    assert restart.go_on(29.9) == []
    assert restart.go_on(30) == [Step(Do.KILL_NEW, 0)]
    assert restart.failure == "the new worker 0 is not ready after 30 s; the old workers go on"
    assert restart.go_on(60) == restart.new_ready(0, 60) == restart.new_gone(0, "ended with status -9") == []
    assert not restart.done
    assert restart.slot is None


def test_a_new_worker_that_ends_before_it_is_ready_stops_the_restart() -> None:
    restart = RestartTable(PARTITIONS, drain=8)
    restart.go_on(0)
    assert restart.new_gone(0, "ended with status 2") == []
    assert restart.failure == "the new worker 0 ended with status 2; the old workers go on"


def test_an_old_worker_that_takes_too_long_is_killed() -> None:
    restart = begun()
    assert restart.go_on(1 + 8 + 4.9) == []
    assert restart.go_on(1 + 8 + 5) == [Step(Do.KILL_OLD, 0)]
    assert restart.go_on(30) == []
    assert restart.old_gone(0) == [Step(Do.BEGIN, 0, (0, 2, 4))]


def test_an_old_worker_that_dies_early_is_followed_by_the_new_one() -> None:
    restart = RestartTable(PARTITIONS, drain=8)
    restart.go_on(0)
    assert restart.old_gone(0) == []
    assert restart.new_ready(0, 1) == [Step(Do.BEGIN, 0, (0, 2, 4))]
    assert restart.go_on(1) == [Step(Do.START, 1)]


def test_a_new_worker_that_dies_is_followed_by_one_that_begins_the_same() -> None:
    restart = begun()
    restart.over(0, [2])
    assert restart.new_gone(0, "ended with status -9") == []
    assert not restart.failure
    assert restart.over(0, [4]) == []
    assert restart.new_ready(0, 3) == [Step(Do.BEGIN, 0, (2, 4))]
    assert restart.over(0, [0]) == [Step(Do.BEGIN, 0, (0,))]


def test_workers_6_a_worker_that_is_ready_only_after_the_end_of_the_old_one_begins_everything() -> None:
    restart = begun()
    assert restart.new_gone(0, "ended with status -9") == []
    assert restart.old_gone(0) == []
    assert restart.go_on(3) == [Step(Do.START, 1)]
    assert restart.new_ready(0, 4) == [Step(Do.BEGIN, 0, (0, 2, 4))]
    assert restart.slot == 1


def test_workers_6_it_does_so_also_if_the_restart_has_stopped_at_another_slot() -> None:
    restart = begun()
    restart.new_gone(0, "ended with status -9")
    restart.old_gone(0)
    restart.go_on(3)
    restart.new_gone(1, "ended with status 2")
    assert restart.failure
    assert restart.new_ready(0, 4) == [Step(Do.BEGIN, 0, (0, 2, 4))]


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["go_on", "new_ready", "over", "old_gone", "new_gone"]),
        st.integers(0, 1),
        st.lists(st.integers(0, 5)),
        st.floats(0, 10),
    )
)


@given(EVENTS)
def test_workers_6_no_order_of_events_begins_a_partition_that_is_not_over(
    events: list[tuple[str, int, list[int], float]],
) -> None:
    restart, now = RestartTable(PARTITIONS, drain=8), 0.0
    over: set[int] = set()
    told: set[int] = set()
    for event, slot, partitions, seconds in events:
        now += seconds
        if event == "over":
            if slot not in told:  # a worker says so only after the order
                continue
            over.update(set(partitions) & set(PARTITIONS[slot]))
            steps = restart.over(slot, partitions)
        elif event == "old_gone":
            over.update(PARTITIONS[slot])
            steps = restart.old_gone(slot)
        elif event == "new_gone":
            steps = restart.new_gone(slot, "ended with status 1")
        else:
            steps = restart.go_on(now) if event == "go_on" else restart.new_ready(slot, now)
        for step in steps:
            assert step.do is not Do.BEGIN or over.issuperset(step.partitions)
            if step.do is Do.LEAVE:
                told.add(step.slot)


def test_an_old_worker_that_dies_before_its_turn_has_been_restarted_by_that() -> None:
    restart = begun()
    assert restart.old_gone(1) == []
    assert restart.slot == 0
    restart.old_gone(0)
    assert restart.done
    assert restart.go_on(2) == []


def test_an_old_worker_that_dies_before_its_turn_does_not_end_a_restart_that_has_failed() -> None:
    restart = RestartTable(PARTITIONS, drain=8)
    restart.go_on(0)
    restart.new_gone(0, "ended with status 2")
    assert restart.old_gone(0) == restart.old_gone(1) == []
    assert not restart.done
