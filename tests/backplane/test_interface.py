"""The values that every backplane takes."""

from __future__ import annotations

from typing import Any

import pytest

from wsframe.backplane.interface import Backplane, History
from wsframe.backplane.memory import MemoryBackplane, MemoryHub
from wsframe.backplane.relay.backplane import RelayBackplane


@pytest.mark.parametrize(
    ("bounds", "error"),
    [
        ({"messages": 0}, ValueError),
        ({"seconds": -1}, ValueError),
        ({"seconds": float("nan")}, ValueError),
        ({"bytes": 0}, ValueError),
        ({"messages": 1.5}, TypeError),
        ({"messages": True}, TypeError),
        ({"bytes": "1"}, TypeError),
    ],
)
def test_bounds_of_a_history_are_checked(bounds: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(bounds))):
        History(**bounds)


def test_backplanes_fit_the_interface() -> None:
    planes: list[Backplane] = [MemoryBackplane(MemoryHub()), RelayBackplane("path")]
    assert len(planes) == 2
