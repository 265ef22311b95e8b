"""Holes are seen by their numbers."""

from __future__ import annotations

from wsframe.backplane.engines.numbering import MOST_SENDERS, LastSeen, Numbers


def test_numbers_of_a_topic_grow_by_one() -> None:
    numbers = Numbers()
    assert [numbers.next("a"), numbers.next("b"), numbers.next("a"), numbers.last("a")] == [1, 1, 2, 2]


def test_a_topic_that_was_forgotten_looks_like_a_hole_rather_than_none() -> None:
    numbers, seen = Numbers(most=2), LastSeen()
    assert not seen.hole_before("a", "x", numbers.next("a"))
    for topic in ("b", "c", "d", "e"):
        numbers.next(topic)
    assert seen.hole_before("a", "x", numbers.next("a"))
    assert not seen.hole_before("a", "x", numbers.next("a"))


def test_a_hole_is_seen_once() -> None:
    seen = LastSeen()
    assert [seen.hole_before("t", "x", number) for number in (7, 8, 10, 11)] == [False, False, True, False]


def test_senders_and_topics_are_apart() -> None:
    seen = LastSeen()
    assert not seen.hole_before("t", "x", 1)
    assert not seen.hole_before("t", "y", 5)
    assert not seen.hole_before("u", "x", 9)
    assert not seen.hole_before("t", "x", 2)


def test_a_publisher_that_was_restarted_makes_no_hole() -> None:
    seen = LastSeen()
    seen.hole_before("t", "x", 50)
    assert not seen.hole_before("t", "x", 1)
    assert not seen.hole_before("t", "x", 2)


def test_a_mark_shows_a_hole_at_the_end() -> None:
    seen = LastSeen()
    seen.hole_before("t", "x", 5)
    assert not seen.hole_before("t", "x", 5, mark=True)
    assert seen.hole_before("t", "x", 6, mark=True)
    assert not seen.hole_before("t", "x", 7)


def test_a_topic_that_is_wanted_again_begins_without_a_hole() -> None:
    seen = LastSeen()
    seen.hole_before("t", "x", 1)
    seen.forget("t")
    assert not seen.hole_before("t", "x", 9)
    seen.clear()
    assert not seen.hole_before("t", "x", 19)


def test_the_senders_of_a_topic_are_bounded() -> None:
    seen = LastSeen()
    for number in range(3 * MOST_SENDERS):
        seen.hole_before("t", str(number), 1)
    assert len(seen._last["t"]) <= MOST_SENDERS


def test_a_mark_of_a_first_message_is_a_hole() -> None:
    assert LastSeen().hole_before("t", "x", 1, mark=True)
