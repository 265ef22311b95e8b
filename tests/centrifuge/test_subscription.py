"""The table of the states of a subscription."""

from __future__ import annotations

from itertools import product

import pytest

from wsframe.centrifuge.subscription import MOST_HELD, TABLE, Subscription, SubscriptionEvent, SubscriptionState


def after(*events: SubscriptionEvent) -> Subscription:
    subscription = Subscription("c")
    for event in events:
        subscription.step(event)
    return subscription


def test_a_subscription_is_live_between_its_reply_and_its_end() -> None:
    assert not after().live
    assert not after(SubscriptionEvent.ALLOWED).live
    assert after(SubscriptionEvent.ALLOWED, SubscriptionEvent.REPLIED).live
    assert not after(SubscriptionEvent.ALLOWED, SubscriptionEvent.REPLIED, SubscriptionEvent.ENDED).live


def test_one_that_was_not_allowed_is_never_live() -> None:
    assert after(SubscriptionEvent.REPLIED).state is SubscriptionState.ASKED


@pytest.mark.parametrize("events", list(product(SubscriptionEvent, repeat=3)))
def test_nothing_follows_the_end(events: tuple[SubscriptionEvent, ...]) -> None:
    subscription = after(SubscriptionEvent.ENDED)
    steps = [subscription.step(event) for event in events]
    assert steps == [False] * 3
    assert subscription.state is SubscriptionState.ENDED


def test_every_state_can_end_and_every_state_can_be_reached() -> None:
    assert {state for state, event in TABLE if event is SubscriptionEvent.ENDED} == set(SubscriptionState) - {
        SubscriptionState.ENDED
    }
    assert set(TABLE.values()) | {SubscriptionState.ASKED} == set(SubscriptionState)


def held(count: int) -> Subscription:
    subscription = after(SubscriptionEvent.ALLOWED)
    for number in range(count):
        subscription.hold(number, b"x")
    return subscription


def test_publications_that_wait_are_bounded() -> None:
    assert not held(MOST_HELD).overflowed
    assert held(MOST_HELD + 1).overflowed
    assert len(held(MOST_HELD + 1).held) == MOST_HELD
