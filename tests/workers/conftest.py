"""The fixtures of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wsframe.workers.board import Board


@pytest.fixture
def board() -> Iterator[Board]:
    """Give a board of three slots."""
    made = Board.make(3)
    yield made
    made.close()
