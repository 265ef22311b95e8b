"""The fixtures of these tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    log = logging.getLogger("wsframe")
    before, level = log.handlers[:], log.level
    log.setLevel("INFO")
    yield log
    log.handlers[:] = before
    log.setLevel(level)
