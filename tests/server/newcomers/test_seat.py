"""A newcomer's membership and place are given back unless a client keeps them."""

from __future__ import annotations

from typing import cast

import pytest

from wsframe import Capacity, Reject, Resource
from wsframe.hooks.listener import Listener
from wsframe.server.capacity import Places
from wsframe.server.newcomers.seat import Seat


class Room(Resource):
    """A resource with room for so many."""


class Life:
    """The life of a resource, as far as a seat needs it."""

    def __init__(self, max_clients: int | None = None) -> None:
        self.resource = Room()
        self.resource.max_clients = max_clients  # type: ignore[misc]  # of this object alone
        self.members = 1
        self.place = id(self.resource)

    def leave(self) -> None:
        self.members -= 1


def listener(life: Life) -> Listener:
    return cast(Listener, life)


def test_both_are_given_back_at_the_end() -> None:
    life, places = Life(), Places(Capacity())
    with Seat() as seat:
        seat.take(listener(life), places, "::1")
        assert (life.members, places.reserved) == (1, 1)
    assert (life.members, places.reserved) == (0, 0)


def test_nothing_is_given_back_twice() -> None:
    life, places = Life(), Places(Capacity())
    with Seat() as seat:
        seat.take(listener(life), places, "::1")
        seat.give_back()
        assert (life.members, places.reserved) == (0, 0)
    assert (life.members, places.reserved) == (0, 0)


def test_a_life_takes_nobody_whose_place_was_given_back() -> None:
    life, places = Life(), Places(Capacity())
    with Seat() as seat:
        seat.reserve(places, "::1")
        seat.give_back()
        with pytest.raises(Reject):
            seat.enter(listener(life))
    assert (life.members, places.reserved) == (0, 0)


def test_both_are_left_to_a_client() -> None:
    life, places = Life(), Places(Capacity())
    with Seat() as seat:
        seat.take(listener(life), places, "::1")
        seat.kept = True
    assert (life.members, places.reserved) == (1, 1)


def test_membership_is_given_back_where_there_is_no_place() -> None:
    life = Life(max_clients=0)
    with pytest.raises(Reject), Seat() as seat:
        seat.take(listener(life), Places(Capacity()), "::1")
    assert life.members == 0


def test_nothing_is_given_back_that_was_not_taken() -> None:
    with Seat():
        pass


def test_move_gives_the_former_resource_back() -> None:
    former, other, places = Life(), Life(max_clients=1), Places(Capacity())
    with Seat() as seat:
        seat.take(listener(former), places, "::1")
        seat.move(listener(other))
        assert seat.listener is listener(other)
        assert (former.members, other.members, places.reserved) == (0, 1, 1)
    assert (other.members, places.reserved) == (0, 0)


def test_move_to_a_full_resource_gives_all_back() -> None:
    former, other, places = Life(), Life(max_clients=0), Places(Capacity())
    with Seat() as seat:
        seat.take(listener(former), places, "::1")
        with pytest.raises(Reject):
            seat.move(listener(other))
    assert (former.members, other.members, places.reserved) == (0, 0, 0)
