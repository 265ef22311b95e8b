"""Positions: which are possible, and which messages lie between two."""

from __future__ import annotations

import pytest

from wsframe.backplane import Position
from wsframe.protocol.frames import TEXT
from wsframe.resources.topics.positions import can_be, is_behind, whole, within
from wsframe.resources.topics.publication import Publication


def at(offset: int, epoch: int = 1) -> Publication:
    return Publication(TEXT, str(offset).encode(), Position(epoch, offset), "server")


@pytest.mark.parametrize("position", [Position(-1, 0), Position(0, -1), Position(1 << 63, 0), Position(0, 1 << 63)])
def test_a_position_beyond_63_bits_or_below_0_cannot_be(position: Position) -> None:
    assert not can_be(position)
    assert can_be(Position(0, 0))
    assert can_be(Position((1 << 63) - 1, (1 << 63) - 1))


def test_a_position_is_behind_a_later_one_of_its_epoch() -> None:
    assert is_behind(Position(1, 4), Position(1, 5))
    assert not is_behind(Position(1, 5), Position(1, 5))
    assert not is_behind(Position(2, 4), Position(1, 5))
    assert not is_behind(None, Position(1, 5))


def test_positions_are_within_a_limit_in_one_epoch_and_in_order() -> None:
    assert within(Position(1, 4), Position(1, 9), 5)
    assert not within(Position(1, 4), Position(1, 10), 5)
    assert not within(Position(1, 4), Position(1, 3), 5)
    assert not within(Position(1, 4), Position(2, 5), 5)


def test_messages_are_whole_in_any_order_with_repeats_and_others_beside() -> None:
    since, here = Position(1, 4), Position(1, 6)
    found = [at(6), at(5), at(5), at(4), at(7), at(5, epoch=2)]
    assert [one.message for one in whole(since, here, found, 5) or []] == ["5", "6"]
    assert whole(since, here, [at(6)], 5) is None
    assert whole(since, here, found, 1) is None
    assert whole(since, here, None, 5) is None
    assert whole(None, here, found, 5) is None
    assert whole(since, None, found, 5) is None
