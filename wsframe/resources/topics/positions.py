"""Positions in the history of a topic, compared."""

from __future__ import annotations

from wsframe.backplane.interface import Position
from wsframe.resources.topics.publication import Publication

__all__ = ["can_be", "is_behind", "whole", "within"]


def is_behind(here: Position | None, since: Position) -> bool:
    """Return whether messages up to a position, which another process has had, are still on their way here."""
    return here is not None and here.epoch == since.epoch and here.offset < since.offset


def can_be(position: Position) -> bool:
    """Return whether a position, perhaps of a client, can be one: an engine can fail at any other."""
    numbers: tuple[object, ...] = tuple(position)
    return all(isinstance(number, int) and 0 <= number < 1 << 63 for number in numbers)


def within(since: Position, newest: Position, limit: int) -> bool:
    """Return whether at most this many messages are between two positions."""
    return since.epoch == newest.epoch and 0 <= newest.offset - since.offset <= limit


def whole(
    since: Position | None, here: Position | None, found: list[Publication] | None, limit: int
) -> list[Publication] | None:
    """Return all messages after one position up to another one, or None."""
    if since is None or here is None or found is None or not within(since, here, limit):
        return None
    by_offset = {one.position.offset: one for one in found if one.position and one.position.epoch == here.epoch}
    wanted = range(since.offset + 1, here.offset + 1)
    return [by_offset[offset] for offset in wanted] if all(offset in by_offset for offset in wanted) else None
