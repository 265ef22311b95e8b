"""Fixtures of the outgoing tests."""

from __future__ import annotations

import pytest

from tests.outgoing.tries import Outcome, scripted


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> list[Outcome]:
    return scripted(monkeypatch)
