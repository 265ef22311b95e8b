"""Two owners that act at overlapping times are found, whatever the order of the lines; the record has none."""

from __future__ import annotations

import json

from tests.owners.acts import Act, Change, Watch, read
from tests.owners.record import PAGE, RECORD, longest, page


def act(at: float, token: int, path: str = "/a", node: str = "1", *, kind: str = "task", lost: bool = False) -> Act:
    return Act(at, path, token, node, kind, lost)


def test_one_owner_after_the_other_is_no_fault() -> None:
    watch = Watch()
    watch.follow([act(2.0, 7), act(1.0, 5), act(1.5, 9, "/b"), act(3.0, 7)])
    assert watch.faults == []
    assert (watch.acts, watch.owners, watch.changes) == (4, 3, [Change("/a", "1", 1.0, 2.0)])


def test_a_path_that_was_given_away_is_not_one_that_was_taken_over() -> None:
    watch = Watch()
    watch.follow([act(1.0, 5, kind="left"), act(2.0, 7)])
    assert (watch.faults, watch.owners, watch.changes) == ([], 2, [])


def test_an_older_token_after_a_newer_one_is_a_fault() -> None:
    watch = Watch()
    watch.follow([act(1.0, 5), act(3.0, 5), act(2.0, 7, node="2")])
    assert len(watch.faults) == 1


def test_a_step_goes_on_after_a_stop_and_a_task_does_not() -> None:
    watch = Watch()
    watch.follow([act(1.0, 5), act(2.0, 7, node="2"), act(3.0, 5, lost=True), act(3.0, 5, kind="hook", lost=True)])
    assert watch.faults == []
    assert len(watch.steps) == 2
    watch.follow([act(3.2, 5, lost=True)])
    assert len(watch.faults) == 1


def test_messages_out_of_order_are_a_fault() -> None:
    watch = Watch()
    watch.follow([act(1.0, 5, kind="disorder")])
    assert len(watch.faults) == 1


def test_acts_are_read_as_they_were_written() -> None:
    acts = [act(1.25, 5), act(2.5, 7, lost=True)]
    assert list(read(b"".join(one.line() for one in acts))) == acts


def test_the_record_shows_no_fault_and_the_page_is_that_of_the_record() -> None:
    record = json.loads(RECORD.read_text())
    assert record["faults"] == []
    assert sum(one["rounds"] for one in record["causes"].values()) > 0
    assert PAGE.read_text() == page(record)


def test_the_record_keeps_the_longest_run_of_earlier_ones() -> None:
    run = {"date": "2026-01-01", "acts": 1, "owners": 1, "faults": [], "late": [], "causes": {"a": {"rounds": 200}}}
    kept = longest(run, 20)
    assert kept is not None
    assert kept["rounds"] == 200
    shorter = {**run, "causes": {"a": {"rounds": 20}}, "longest": kept}
    assert longest(shorter, 30) == kept
    assert longest(shorter, 200) is None
    assert longest(None, 1) is None
