"""The fixtures of these tests."""

from contextlib import ExitStack

import pytest

from tests.hostile.place import certificates, info, place, plain, secure

__all__ = ["certificates", "info", "place", "plain", "secure", "stack"]


@pytest.fixture
def stack() -> ExitStack:
    """Give a stack that the test enters, so that it closes its sockets before the servers end."""
    return ExitStack()
