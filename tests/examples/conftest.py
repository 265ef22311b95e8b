"""A browser to open the examples' pages with."""

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome

from tests.examples.browser import open_browser
from tests.requirements import require


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Give a headless Chromium, one for all tests: each opens windows of its own and closes them."""
    chromium = require("chromium", "chromium-browser", "google-chrome")
    chromedriver = require("chromedriver")
    with open_browser(chromium, chromedriver, tmp_path_factory.mktemp("chromium")) as driver:
        yield driver
