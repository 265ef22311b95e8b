"""The order in which several processes take the files of tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, groupby, zip_longest
from pathlib import Path

import pytest

__all__ = ["mixed"]


def mixed(items: Iterable[pytest.Item]) -> Iterator[pytest.Item]:
    """Yield tests file by file, a slow file and a fast one in turn, for as long as there are slow ones.

    Slow files wait for other programs for most of their time, in which fast ones use the processors. At the end,
    when a process finds no file any more, the others have only fast ones left.
    """
    slow: list[list[pytest.Item]] = []
    fast: list[list[pytest.Item]] = []
    for _, of_file in groupby(items, key=_file_of):
        tests = list(of_file)
        (slow if all(test.get_closest_marker("slow") for test in tests) else fast).append(tests)
    return chain.from_iterable(chain.from_iterable(zip_longest(slow, fast, fillvalue=[])))


def _file_of(item: pytest.Item) -> Path:
    return item.path
