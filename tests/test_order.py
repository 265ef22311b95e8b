"""The order of files of tests among several processes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.order import mixed


def of_file(name: str, *slow: bool) -> list[pytest.Item]:
    def test(slow: bool) -> pytest.Item:
        return cast(pytest.Item, SimpleNamespace(path=Path(name), get_closest_marker=lambda _: slow or None))

    return [*map(test, slow)]


def order(*files: list[pytest.Item]) -> list[str]:
    return [item.path.name for item in mixed(item for tests in files for item in tests)]


def test_slow_files_and_fast_ones_take_turns_and_fast_ones_are_left_for_the_end() -> None:
    slow = [of_file(f"slow {number}", True, True) for number in range(2)]
    fast = [of_file(f"fast {number}", True, False) for number in range(4)]
    names = order(*fast, *slow)
    assert names[::2] == names[1::2] == ["slow 0", "fast 0", "slow 1", "fast 1", "fast 2", "fast 3"]


def test_no_test_is_lost_where_all_are_of_a_kind() -> None:
    assert order(of_file("a", True), of_file("b", True)) == ["a", "b"]
    assert order(of_file("a", False), of_file("b", False)) == ["a", "b"]
    assert order() == []
