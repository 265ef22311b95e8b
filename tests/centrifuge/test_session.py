"""The state of clients in the protocol."""

from __future__ import annotations

from typing import Any

from wsframe.centrifuge.replies import Info
from wsframe.centrifuge.session import SessionDeadline, SessionPhase, Sessions
from wsframe.centrifuge.subscription import Subscription, SubscriptionEvent


class Peer:
    """Stands for a client."""

    def __init__(self, name: str) -> None:
        self.id = name


def live(channel: str) -> Subscription:
    subscription = Subscription(channel)
    subscription.step(SubscriptionEvent.ALLOWED)
    subscription.step(SubscriptionEvent.REPLIED)
    return subscription


def test_a_client_has_one_session_until_it_is_removed() -> None:
    sessions = Sessions()
    ann: Any = Peer("ann")
    session = sessions.add(ann)
    assert sessions.add(ann) is session is sessions.of(ann)
    sessions.deadlines.set(SessionDeadline(ann, "ping"), 1.0)
    assert sessions.remove(ann) is session
    assert (sessions.of(ann), len(sessions), list(sessions.deadlines.due(9.0))) == (None, 0, [])
    assert sessions.remove(ann) is None


def test_a_channel_is_forgotten_with_its_last_subscription() -> None:
    sessions = Sessions()
    ann: Any = Peer("ann")
    bob: Any = Peer("bob")
    one, other = live("c"), live("c")
    channel = sessions.note(sessions.add(ann), one)
    assert sessions.note(sessions.add(bob), other) is channel is sessions.channel("c")
    channel.live[ann] = None
    channel.waiting[other] = None
    assert sessions.forget(sessions.add(ann), one) is None
    assert (channel.subscriptions, channel.live) == ({bob: other}, {})
    assert sessions.forget(sessions.add(bob), other) is channel
    assert not channel.waiting
    assert sessions.channel("c") is None


def test_a_channel_begins_its_pushes() -> None:
    channel = Sessions().note(Sessions().add(Peer("ann")), live('a"b'))  # type: ignore[arg-type]
    assert channel.prefix == b'{"push":{"channel":"a\\"b","pub":'


def test_the_end_of_a_subscription_leaves_a_later_one_of_the_same_channel() -> None:
    sessions = Sessions()
    ann: Any = Peer("ann")
    session = sessions.add(ann)
    first, second = live("c"), live("c")
    sessions.note(session, first)
    sessions.forget(session, first)
    sessions.note(session, second)
    sessions.forget(session, first)
    assert session.channels == ("c",)


def test_others_see_the_user_and_the_information_of_connection_and_channel() -> None:
    sessions = Sessions()
    ann: Any = Peer("ann")
    session = sessions.add(ann)
    session.user, session.info = "7", '{"a":1}'
    subscription = live("c")
    subscription.info = "2"
    assert session.seen_in(None) == Info("ann", "7", '{"a":1}')
    assert session.seen_in(subscription) == Info("ann", "7", '{"a":1}', "2")


def test_the_phase_says_whether_commands_are_handled() -> None:
    ann: Any = Peer("ann")
    session = Sessions().add(ann)
    assert [session.phase, session.connected, session.refused] == [SessionPhase.NEW, False, False]
    session.phase = SessionPhase.CONNECTED
    assert session.connected
    session.phase = SessionPhase.REFUSED
    assert (session.connected, session.refused) == (False, True)
