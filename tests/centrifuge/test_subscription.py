"""The table of the states of a subscription."""

from __future__ import annotations

from itertools import product

import pytest

from wsframe.centrifuge.subscription import MOST_HELD, TABLE, Event, State, Subscription


def after(*events: Event) -> Subscription:
    subscription = Subscription("c")
    for event in events:
        subscription.step(event)
    return subscription


def test_a_subscription_is_live_between_its_reply_and_its_end() -> None:
    assert not after().live
    assert not after(Event.ALLOWED).live
    assert after(Event.ALLOWED, Event.REPLIED).live
    assert not after(Event.ALLOWED, Event.REPLIED, Event.ENDED).live


def test_one_that_was_not_allowed_is_never_live() -> None:
    assert after(Event.REPLIED).state is State.ASKED


@pytest.mark.parametrize("events", list(product(Event, repeat=3)))
def test_nothing_follows_the_end(events: tuple[Event, ...]) -> None:
    subscription = after(Event.ENDED)
    steps = [subscription.step(event) for event in events]
    assert steps == [False] * 3
    assert subscription.state is State.ENDED


def test_every_state_can_end_and_every_state_can_be_reached() -> None:
    assert {state for state, event in TABLE if event is Event.ENDED} == set(State) - {State.ENDED}
    assert set(TABLE.values()) | {State.ASKED} == set(State)


def held(count: int) -> Subscription:
    subscription = after(Event.ALLOWED)
    for number in range(count):
        subscription.hold(number, b"x")
    return subscription


def test_publications_that_wait_are_bounded() -> None:
    assert not held(MOST_HELD).overflowed
    assert held(MOST_HELD + 1).overflowed
    assert len(held(MOST_HELD + 1).held) == MOST_HELD
