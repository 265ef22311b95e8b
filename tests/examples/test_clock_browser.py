"""The clock example works in a real browser."""

import re

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.examples.running import example_running
from tests.patience import PATIENCE


def test_the_page_shows_the_time(browser: Chrome) -> None:
    with example_running("clock.py", "--port", "0") as address:
        browser.get(f"{address}/")
        shown = browser.find_element(By.ID, "time")
        WebDriverWait(browser, PATIENCE, 0.05).until(lambda _: re.fullmatch(r"\d\d:\d\d:\d\d", shown.text))
        browser.get("about:blank")
