"""Deadlines in one heap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsframe.centrifuge.deadline_queue import DeadlineQueue


def test_those_that_are_due_come_in_order_and_once() -> None:
    deadlines: DeadlineQueue[str] = DeadlineQueue()
    for key, at in (("c", 3.0), ("a", 1.0), ("b", 2.0)):
        deadlines.set(key, at)
    assert list(deadlines.due(0.5)) == []
    assert list(deadlines.due(2.0)) == ["a", "b"]
    assert list(deadlines.due(2.0)) == []
    assert len(deadlines) == 1


def test_a_key_has_its_newest_moment_alone() -> None:
    deadlines: DeadlineQueue[str] = DeadlineQueue()
    deadlines.set("a", 1.0)
    deadlines.set("a", 3.0)
    deadlines.set("b", 1.0)
    deadlines.clear("b")
    deadlines.clear("c")
    assert list(deadlines.due(2.0)) == []
    deadlines.set("a", 2.0)
    assert list(deadlines.due(2.0)) == ["a"]
    assert list(deadlines.due(9.0)) == []


def test_one_that_is_set_again_while_it_is_taken_stays() -> None:
    deadlines: DeadlineQueue[str] = DeadlineQueue()
    deadlines.set("a", 1.0)
    for key in deadlines.due(1.0):
        deadlines.set(key, 2.0)
    assert list(deadlines.due(2.0)) == ["a"]


def test_keys_that_move_for_ever_take_no_more_room() -> None:
    deadlines: DeadlineQueue[int] = DeadlineQueue()
    for at in range(10_000):
        deadlines.set(at % 10, float(at))
    assert len(deadlines._heap) <= 2 * 10 + 64 + 1
    assert sorted(deadlines.due(1e9)) == list(range(10))


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 10) | st.none())), st.floats(0, 10))
def test_it_does_as_a_dictionary_would(steps: list[tuple[int, float | None]], now: float) -> None:
    deadlines: DeadlineQueue[int] = DeadlineQueue()
    plain: dict[int, float] = {}
    for key, at in steps:
        if at is None:
            deadlines.clear(key)
            plain.pop(key, None)
        else:
            deadlines.set(key, at)
            plain[key] = at
    assert sorted(deadlines.due(now)) == sorted(key for key, at in plain.items() if at <= now)
