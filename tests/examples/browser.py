"""A headless Chromium for the tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

__all__ = ["open_browser"]

FLAGS = [
    "--headless",
    "--no-sandbox",  # as root, which continuous integration often is, the sandbox does not start
    "--disable-gpu",
    "--hide-scrollbars",  # of pictures
    "--disable-dev-shm-usage",  # in containers /dev/shm is often too small
    # Nothing may go out to the network, nor be asked of the user.
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    # A page in the back must not be slowed down: the tests look at two pages.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
]


@contextmanager
def open_browser(chromium: str, chromedriver: str, profile: Path) -> Iterator[Chrome]:
    """Run Chromium with a new profile folder, and end it and its driver at the end."""
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    # An explicit path keeps selenium from looking for a driver to download.
    with Chrome(options, Service(chromedriver)) as driver:
        driver.set_page_load_timeout(30)
        driver.set_script_timeout(30)
        yield driver
