"""The browser of these tests."""

from tests.examples.conftest import browser

__all__ = ["browser"]
