"""Presence: lists of several nodes that become equal, and members that leave only for good."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsframe.backplane.presence import HEARTBEAT, HOLD, LINGER, SILENCE, Member, Roll
from wsframe.resources.topics.presences import TICK


class Net:
    """Nodes and the links between them, with a clock."""

    def __init__(self, *names: str) -> None:
        self.now = 0.0
        self.sent = 0
        self.cut: set[str] = set()
        """Nodes that hear nobody and that nobody hears."""
        self.rolls: dict[str, Roll] = {}
        self.events: dict[str, list[str]] = {}
        for name in names:
            self.add(name)

    def add(self, name: str, hold: float = 0.0) -> Roll:
        events = self.events[name] = []

        def send(message: dict[str, Any]) -> None:
            self.sent += 1
            if name not in self.cut:
                for other, roll in tuple(self.rolls.items()):
                    if other != name and other not in self.cut:
                        roll.receive(name, json.loads(json.dumps(message)), self.now)

        self.rolls[name] = roll = Roll(
            name, send, lambda member: events.append(f"+{member.key}"), lambda member: events.append(f"-{member.key}"),
            self.now, hold,
        )  # fmt: skip
        roll.ask_all()
        return roll

    def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += 1.0
            for roll in tuple(self.rolls.values()):
                roll.tick(self.now)

    def enter(self, node: str, key: str, info: object = None) -> None:
        self.rolls[node].enter(Member(key, info), self.now)

    def leave(self, node: str, key: str, *, at_once: bool = False) -> None:
        self.rolls[node].leave(key, self.now, at_once=at_once)

    def keys(self, node: str) -> list[str]:
        return sorted(member.key for member in self.rolls[node].members)


def test_all_nodes_know_all_members() -> None:
    net = Net("a", "b")
    net.enter("a", "ann", {"colour": "red"})
    net.enter("b", "bob")
    assert net.rolls["b"].members == [Member("ann", {"colour": "red"}), Member("bob")]
    assert net.events == {"a": ["+ann", "+bob"], "b": ["+ann", "+bob"]}


def test_a_member_leaves_10_seconds_after_its_last_connection() -> None:
    net = Net("a", "b")
    net.enter("a", "ann")
    net.enter("a", "ann")
    net.enter("b", "ann")
    net.leave("a", "ann")
    net.leave("a", "ann")
    net.sleep(2 * LINGER)
    assert net.keys("a") == ["ann"]
    net.leave("b", "ann")
    net.sleep(LINGER - 1)
    assert net.keys("a") == net.keys("b") == ["ann"]
    net.sleep(1)
    assert net.keys("a") == net.keys("b") == []
    assert net.events == {"a": ["+ann", "-ann"], "b": ["+ann", "-ann"]}


def test_a_member_that_comes_back_anywhere_has_never_left() -> None:
    net = Net("a", "b", "c")
    net.enter("a", "ann")
    net.leave("a", "ann")
    net.sleep(LINGER - 1)
    net.enter("b", "ann")
    net.sleep(60)
    assert net.events == {name: ["+ann"] for name in "abc"}


def test_a_member_that_lingers_elsewhere_has_not_joined_on_a_node_that_begins() -> None:
    net = Net("a", "b")
    net.enter("a", "ann")
    net.leave("a", "ann")
    net.add("c", HOLD)
    net.enter("c", "ann")
    net.enter("c", "bob")
    assert net.keys("c") == ["ann", "bob"]
    assert net.events["c"] == []
    net.sleep(HOLD)
    assert net.events == {"a": ["+ann", "+bob"], "b": ["+ann", "+bob"], "c": ["+bob"]}
    net.sleep(60)
    net.leave("c", "ann")
    net.sleep(LINGER)
    assert net.events["c"] == ["+bob", "-ann"]


def test_a_member_that_lingers_elsewhere_leaves_a_node_that_begins_as_well() -> None:
    net = Net("a")
    net.enter("a", "ann")
    net.leave("a", "ann")
    net.sleep(LINGER / 2)
    net.add("b", HOLD)
    net.sleep(1)
    assert net.keys("b") == ["ann"]
    net.sleep(LINGER)
    assert net.events["b"] == ["-ann"]


def test_a_member_whose_join_was_not_told_does_not_leave() -> None:
    net = Net("a")
    net.add("b", HOLD)
    net.enter("b", "ann")
    net.leave("b", "ann", at_once=True)
    net.enter("a", "bob")
    net.leave("a", "bob", at_once=True)
    net.sleep(60)
    assert net.events == {"a": ["+ann", "-ann", "+bob", "-bob"], "b": []}


def test_a_list_after_the_beginning_brings_nobody_back_who_has_left() -> None:
    net = Net("a", "b")
    net.enter("a", "ann")
    net.cut.add("b")
    net.leave("a", "ann")
    net.sleep(1)
    net.cut.discard("b")
    net.sleep(SILENCE + LINGER)
    assert net.events == {"a": ["+ann", "-ann"], "b": ["+ann", "-ann"]}
    assert net.keys("b") == []


def test_a_member_that_leaves_for_good_does_not_linger() -> None:
    net = Net("a", "b")
    net.enter("a", "ann")
    net.leave("a", "ann", at_once=True)
    assert net.events == {"a": ["+ann", "-ann"], "b": ["+ann", "-ann"]}


def test_a_deploy_of_all_nodes_announces_nothing() -> None:
    net = Net("old1", "old2")
    for number in range(10):
        net.enter(f"old{1 + number % 2}", f"m{number}")
    watcher = net.add("watcher")
    assert net.events["watcher"] == []
    assert len(watcher.members) == 10
    for node in ("1", "2"):
        net.add(f"new{node}")
        net.rolls.pop(f"old{node}").goodbye()
        net.sleep(5)
        for number in range(10):
            if number % 2 == int(node) - 1:
                net.enter(f"new{node}", f"m{number}")
        net.sleep(10)
    net.sleep(100)
    assert net.events["watcher"] == []
    assert len(watcher.members) == 10


def seconds_to_leave(alive: float, phase: float, late: float) -> float:
    """Kill a node this long after its member entered; return the seconds until the member has left.

    Both nodes look at the clock each TICK, at other moments by ``phase``, and are ``late`` each time.
    """
    net = Net("a", "b")
    net.enter("a", "ann")
    every = TICK + late
    looks = sorted(
        [(phase + number * every, "a") for number in range(1, int((alive - phase) / every) + 1)]
        + [(number * every, "b") for number in range(1, int((alive + 60) / every))]
    )
    for now, name in looks:
        net.now = now
        net.rolls[name].tick(now)
        if "-ann" in net.events["b"]:
            return now - alive
    raise AssertionError("the member is still there")


@pytest.mark.parametrize("late", [0.0, 0.5, 1.5])
def test_a_killed_nodes_members_leave_in_30_to_39_seconds(late: float) -> None:
    times = [seconds_to_leave(alive / 4, phase, late) for alive in range(100) for phase in (0.0, 0.1, 0.4)]
    assert 30 <= min(times) <= max(times) <= 39


def test_a_node_that_was_stopped_hears_the_others_before_it_believes_them_gone() -> None:
    net = Net("a", "b")
    net.enter("a", "ann")
    net.sleep(HEARTBEAT)
    stopped = net.rolls.pop("b")
    net.sleep(SILENCE + 3 * LINGER)
    net.rolls["b"] = stopped
    stopped.tick(net.now)
    net.sleep(HEARTBEAT)
    assert net.events["b"] == ["+ann"]
    assert net.keys("b") == ["ann"]


def test_those_who_linger_for_a_shorter_time_leave_first() -> None:
    net = Net("a", "b", "c")
    net.enter("a", "ann")
    net.enter("b", "bob")
    net.cut.add("a")
    net.sleep(SILENCE + LINGER / 2 - 1)
    net.leave("b", "bob")
    net.sleep(LINGER / 2 + 1)
    assert net.events["c"][-1] == "-ann"
    net.sleep(LINGER / 2)
    assert net.events["c"][-1] == "-bob"


def test_lists_are_equal_after_a_cut() -> None:
    net = Net("a", "b")
    net.enter("a", "ann")
    net.enter("b", "bob")
    net.cut = {"b"}
    net.enter("a", "amy")
    net.leave("b", "bob")
    net.enter("b", "ben")
    net.sleep(SILENCE + LINGER + HEARTBEAT)
    assert (net.keys("a"), net.keys("b")) == (["amy", "ann"], ["ben"])
    assert net.events["a"] == ["+ann", "+bob", "+amy", "-bob"]
    net.cut = set()
    net.sleep(HEARTBEAT + 1)
    assert net.keys("a") == net.keys("b") == ["amy", "ann", "ben"]
    assert net.events["b"][-2:] == ["+ann", "+amy"]


def test_a_lost_message_is_repaired_by_the_next_one_or_the_heartbeat() -> None:
    net = Net("a", "b")
    for key in ("ann", "amy"):
        net.cut = {"b"}
        net.enter("a", key)
        net.cut = set()
        if key == "ann":
            net.enter("a", "next")
        else:
            net.sleep(HEARTBEAT)
        assert net.keys("b") == net.keys("a")


def test_a_node_that_begins_late_has_seen_nobody_join() -> None:
    net = Net("a")
    net.enter("a", "ann")
    net.add("b")
    assert (net.keys("b"), net.events["b"]) == (["ann"], [])
    net.enter("a", "amy")
    assert net.events["b"] == ["+amy"]


def test_whole_lists_are_sent_at_most_once_a_second() -> None:
    net = Net("a")
    net.enter("a", "ann")
    net.sleep(1)
    before = net.sent
    for number in range(20):
        net.add(f"b{number}")
    net.sleep(2)
    assert net.sent - before <= 20 + 2 + 1  # questions, lists, a heartbeat
    assert all(net.keys(f"b{number}") == ["ann"] for number in range(20))


def test_a_node_without_members_says_nothing() -> None:
    net = Net("a", "b")
    net.enter("a", "ann")
    net.leave("a", "ann")
    net.sleep(20)
    before = net.sent
    net.sleep(1_000)
    net.rolls["a"].goodbye()
    assert net.sent == before
    assert net.rolls["a"].is_empty


@pytest.mark.parametrize("message", [{}, {"t": "j"}, {"t": "x", "v": 1}, {"t": "w", "v": "x", "m": {}}, {"t": "?"}])
def test_a_message_of_another_kind_is_an_error(message: dict[str, Any]) -> None:
    net = Net("a")
    net.enter("a", "ann")
    with pytest.raises((KeyError, TypeError, ValueError)):
        net.rolls["a"].receive("b", message, 0.0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "leave", "cut", "join", "sleep", "kill"]), st.sampled_from("abc"), st.integers(0, 3)
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_all_lists_become_equal_and_right_whatever_was_lost(steps: list[tuple[str, str, int]]) -> None:
    net = Net("a", "b", "c")
    here: dict[str, list[str]] = {name: [] for name in "abc"}
    for what, node, number in steps:
        key = f"m{number}"
        if what == "enter":
            net.enter(node, key)
            here[node].append(key)
        elif what == "leave" and key in here[node]:
            net.leave(node, key)
            here[node].remove(key)
        elif what == "cut":
            net.cut.add(node)
        elif what == "join":
            net.cut.discard(node)
        elif what == "sleep":
            net.sleep(7.0 * number)
        elif what == "kill":
            del net.rolls[node]
            net.cut.discard(node)
            net.add(node, HOLD * (number % 2))
            here[node].clear()
    net.cut.clear()
    net.sleep(SILENCE + LINGER + 2 * HEARTBEAT)
    expected = sorted({key for keys in here.values() for key in keys})
    for node in "abc":
        assert net.keys(node) == expected
        balance: dict[str, int] = {}
        for event in net.events[node]:
            balance[event[1:]] = balance.get(event[1:], 0) + (1 if event[0] == "+" else -1)
            assert balance[event[1:]] in (-1, 0, 1)
