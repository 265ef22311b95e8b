"""Fixtures for the tests of the decoder."""

from __future__ import annotations

import pytest

from wsframe.protocol.slow_lane import SlowLane


@pytest.fixture
def no_wsproto(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to ask wsproto: the test's frames belong to a fast lane."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("wsproto was asked")

    monkeypatch.setattr(SlowLane, "__init__", refuse)
