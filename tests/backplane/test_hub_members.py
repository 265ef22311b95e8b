"""The nodes of a hub, and the topics that each wants."""

from __future__ import annotations

from wsframe.backplane.hub_members import HubMembers
from wsframe.backplane.queue import Gap, Message, Queue


def test_a_topic_is_new_with_its_first_member_and_deserted_with_its_last() -> None:
    members = HubMembers()
    a, b = members.add("a", Queue()), members.add("b", Queue())
    assert members.join(a, "t")
    assert not members.join(a, "t")
    assert not members.join(b, "t")
    assert members.leave(a, ["t", "never wanted"]) == []
    assert members.leave(a, ["t"]) == []
    assert members.leave(b, ["t"]) == ["t"]
    assert not members.wanting("t")


def test_a_member_that_is_removed_leaves_all_its_topics() -> None:
    members = HubMembers()
    a, b = members.add("a", Queue()), members.add("b", Queue())
    for topic in ("t", "u"):
        members.join(a, topic)
    members.join(b, "u")
    assert members.remove(a) == ["t"]
    assert members.named("a") is None
    assert list(members) == [b]
    assert members.remove(a) == []


def test_a_former_member_does_not_remove_the_one_that_has_its_name() -> None:
    members = HubMembers()
    former = members.add("a", Queue())
    members.remove(former)
    again = members.add("a", Queue())
    members.remove(former)
    assert members.named("a") is again


def test_messages_and_gaps_go_to_those_who_want_their_topic() -> None:
    members = HubMembers()
    a, b, c = (members.add(name, Queue()) for name in "abc")
    for one in (a, b):
        members.join(one, "t")
    message = Message("t", b"x", "a", None)
    members.send(message, a)
    members.report_gap("t")
    members.report_gap("u")
    assert (a.queue.take(), b.queue.take(), c.queue.take()) == ([Gap("t")], [message, Gap("t")], [])
    members.send(message)
    members.report_gap(None)
    assert (a.queue.take(), c.queue.take()) == ([message, Gap(None)], [Gap(None)])
