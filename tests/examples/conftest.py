"""A browser to open the examples' pages with, and which tests are left to ``nox -s examples``."""

import os
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome

from tests.examples.browser import open_browser
from tests.requirements import require

# These need packages of npm, or pycrdt, or time: ``python -m tests.examples`` runs them and writes its record.
collect_ignore_glob = [] if os.environ.get("WSFRAME_EXAMPLES") == "1" else ["test_*_npm.py", "test_*_page.py"]


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Give a headless Chromium, one for all tests: each opens windows of its own and closes them."""
    chromium = require("chromium", "chromium-browser", "google-chrome")
    chromedriver = require("chromedriver")
    with open_browser(chromium, chromedriver, tmp_path_factory.mktemp("chromium")) as driver:
        yield driver
