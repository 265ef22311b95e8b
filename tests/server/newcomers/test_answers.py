"""How answers are counted."""

import pytest

from wsframe.server.newcomers.answers import Answers


@pytest.mark.parametrize(
    ("status", "label"), [(101, "101"), (404, "404"), (418, "418"), (444, "other"), (599, "other")]
)
def test_statuses_that_http_does_not_define_count_as_one(status: int, label: str) -> None:
    answers = Answers()
    answers.count(status)
    answers.count(status, page=True)
    assert (answers.handshakes, answers.pages) == ({label: 1}, {label: 1})


def test_peers_that_left_count_among_the_handshakes() -> None:
    answers = Answers()
    answers.left()
    assert (answers.handshakes, answers.pages) == ({"none": 1}, {})
