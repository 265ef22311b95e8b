"""Two owners that act at overlapping times are found, whatever the order of the lines; the record has none."""

from __future__ import annotations

import json

from tests.owners.acts import Act, Watch, read
from tests.owners.record import PAGE, RECORD, page


def act(at: float, token: int, path: str = "/a", node: str = "1") -> Act:
    return Act(at, path, token, node, "task")


def test_one_owner_after_the_other_is_no_overlap() -> None:
    watch = Watch()
    watch.follow([act(2.0, 7), act(1.0, 5), act(1.5, 9, "/b"), act(3.0, 7)])
    assert watch.overlaps == []
    assert (watch.acts, watch.owners, watch.longest) == (4, 3, 1.0)


def test_an_older_token_after_a_newer_one_is_an_overlap() -> None:
    watch = Watch()
    watch.follow([act(1.0, 5), act(3.0, 5), act(2.0, 7, node="2")])
    assert len(watch.overlaps) == 1


def test_acts_are_read_as_they_were_written() -> None:
    acts = [act(1.25, 5), act(2.5, 7)]
    assert list(read(b"".join(one.line() for one in acts))) == acts


def test_the_record_shows_no_overlap_and_the_page_is_that_of_the_record() -> None:
    record = json.loads(RECORD.read_text())
    assert record["overlaps"] == []
    assert sum(record["rounds"].values()) > 0
    assert PAGE.read_text() == page(record)
