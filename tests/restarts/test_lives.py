"""The judgement of a file of lives."""

from __future__ import annotations

import pytest

from tests.restarts.lives import overlaps


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("1 begins /a 1\n2 ends /a 1\n3 begins /a 2\n4 ends /a 2\n", False),
        ("1 begins /a 1\n1 begins /b 2\n2 ends /a 1\n3 ends /b 2\n", False),
        ("1 begins /a 1\n2 begins /a 2\n3 ends /a 2\n", False),
        ("1 begins /a 1\n2 begins /a 2\n3 ends /a 1\n", True),
        ("1 begins /a 1\n2 begins /a 1\n", True),
        ("", False),
    ],
)
def test_lives_of_one_path_do_not_overlap(text: str, bad: bool) -> None:
    assert bool(overlaps(text)) == bad
