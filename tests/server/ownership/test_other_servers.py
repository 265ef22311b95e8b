"""The reports of other servers: taken for a moment, and never believed in another form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.server.ownership.other_servers import MOST, SILENT, OtherServers, Report, poorest, preferred


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(
    st.frozensets(st.integers(0, 255)), st.booleans(), st.booleans(), st.booleans(),
    st.dictionaries(st.integers(0, 255), st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1)),
)  # fmt: skip
def test_a_report_is_read_as_it_was_written(
    held: frozenset[int], leaving: bool, asks: bool, rebalance: bool, given: dict[int, str]
) -> None:
    report = Report(node="a", slot=1, count=4, held=held, leaving=leaving, asks=asks, rebalance=rebalance, given=given)
    assert Report.read(report.encoded()) == report


FIELDS = json.loads(Report(node="a").encoded())


@pytest.mark.parametrize(
    "changed",
    [
        {"node": 5}, {"node": ""}, {"node": "x" * 301},
        {"node": "a\ud800"}, {"node": "\x00"}, {"node": "\u00e9"}, {"given": [[1, "\udfff"]]},
        {"held": "g"}, {"held": 5}, {"held": "-1"}, {"held": "1" * 65},
        {"slot": 1}, {"slot": -1}, {"slot": "0"}, {"count": 0}, {"count": 257}, {"count": None}, {"leaving": 1},
        {"given": [[256, "a"]]}, {"given": [[True, "a"]]}, {"given": [["0", "a"]]}, {"given": [[0, ""]]}, {"given": 5},
        {"given": [[0]]}, {"asks": "yes"},
    ],
)  # fmt: skip
def test_a_report_of_another_form_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Report.read(json.dumps({**FIELDS, **changed}).encode())


@given(st.binary())
def test_bytes_that_are_no_report_are_a_value_error(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Report.read(payload)


@pytest.mark.parametrize("payload", [b"5", b"[]", b"null", b"{}", b'"x"', b"[" * 10000])
def test_json_of_another_kind_is_a_value_error(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Report.read(payload)


def test_a_silent_server_has_nothing() -> None:
    clock = Clock()
    other_servers = OtherServers(clock)
    other_servers.hear(Report(node="a", held=frozenset({3, 4})))
    clock.now += SILENT - 0.1
    other_servers.hear(Report(node="b", held=frozenset({5})))
    assert other_servers.holders() == {3: "a", 4: "a", 5: "b"}
    assert other_servers.holder(3) == "a"
    assert other_servers.hears("a")
    clock.now += 0.2
    assert other_servers.holders() == {5: "b"}
    assert other_servers.holder(3) == ""
    assert not other_servers.hears("a")


def test_those_of_another_slot_and_those_that_leave_take_nothing() -> None:
    other_servers = OtherServers(Clock())
    other_servers.hear(Report(node="a", slot=0, count=2))
    other_servers.hear(Report(node="b", slot=1, count=2))
    other_servers.hear(Report(node="c", slot=0, count=2, leaving=True))
    other_servers.hear(Report(node="d"))
    assert [one.node for one in other_servers.takers(6)] == ["a", "d"]
    assert [one.node for one in other_servers.takers(7)] == ["b", "d"]


def test_a_partition_that_was_given_away_is_left_to_its_taker_for_a_moment() -> None:
    clock = Clock()
    other_servers = OtherServers(clock)
    other_servers.hear(Report(node="a", given={7: "b"}))
    assert other_servers.meant_for(7) == "b"
    assert other_servers.meant_for(8) == ""
    clock.now += 2.1
    assert other_servers.meant_for(7) == ""


def test_a_server_that_gives_a_partition_away_has_it_no_more_before_its_taker_has_it() -> None:
    clock = Clock()
    other_servers = OtherServers(clock)
    other_servers.hear(Report(node="a", held=frozenset({7}), given={7: "b"}))
    assert other_servers.holder(7) == ""
    other_servers.hear(Report(node="b", held=frozenset({7})))
    assert other_servers.holder(7) == "b"
    other_servers.hear(Report(node="b"))
    assert other_servers.holder(7) == ""
    clock.now += 2.1
    assert other_servers.holder(7) == "a"


def test_servers_that_are_gone_for_long_are_forgotten() -> None:
    clock = Clock()
    other_servers = OtherServers(clock)
    for number in range(100):
        other_servers.hear(Report(node=str(number)))
        clock.now += 1
    assert len(other_servers._reports) <= 4 * SILENT + 1


def test_all_servers_prefer_the_same_one_and_spread_the_partitions() -> None:
    nodes = ["a", "b", "c"]
    chosen = [preferred(partition, nodes) for partition in range(256)]
    assert chosen == [preferred(partition, reversed(nodes)) for partition in range(256)]
    assert min(chosen.count(node) for node in nodes) > 50
    assert preferred(0, []) == ""


def test_the_poorest_server_has_the_fewest_partitions() -> None:
    reports = [Report(node="a", held=frozenset({1, 2})), Report(node="b", held=frozenset({3}))]
    assert poorest(reports) is reports[1]
    assert poorest([]) is None


def test_only_so_many_servers_are_remembered_and_those_known_before_stay() -> None:
    other_servers = OtherServers(clock := Clock())
    for number in range(MOST + 5):
        other_servers.hear(Report(node=f"n{number}", given={7: f"n{number}"}))
    assert len(other_servers.all()) == MOST
    assert other_servers.meant_for(7) == f"n{MOST - 1}"
    other_servers.hear(Report(node="n0", held=frozenset({3})))
    assert other_servers.holder(3) == "n0"
    clock.now += 5 * SILENT
    other_servers.hear(Report(node="new"))
    assert [one.node for one in other_servers.all()] == ["new"]
