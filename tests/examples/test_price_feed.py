"""The price feed works in a real browser, with the SDK from npm: a page that was cut off misses nothing."""

import base64
import hashlib
import io
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.examples.pages import keep_picture
from tests.examples.running import EXAMPLES, example_running
from tests.patience import PATIENCE
from tests.requirements import NODE, require_node

SDK = NODE / "node_modules/centrifuge/dist/centrifuge.js"


def running(port: str = "0") -> AbstractContextManager[str]:
    require_node()
    return example_running("price_feed.py", "--port", port, "--sdk", str(SDK))


class PricesPage:
    """The page, in the browser's window."""

    def __init__(self, browser: Chrome, address: str) -> None:
        self.browser = browser
        browser.get(f"{address}/")

    @property
    def numbers(self) -> list[int]:
        numbers: list[int] = self.browser.execute_script("return numbers")
        return numbers

    def text_of(self, element: str) -> str:
        return self.browser.find_element(By.ID, element).text

    def picture(self) -> Image.Image:
        return Image.open(io.BytesIO(self.browser.get_screenshot_as_png())).convert("RGB")

    def until(self, holds: Callable[[], bool]) -> None:
        WebDriverWait(self.browser, PATIENCE, poll_frequency=0.05).until(lambda _: holds())

    def until_noted(self, words: str, times: int = 1) -> None:
        self.until(lambda: self.text_of("log").count(words) == times)

    @property
    def button(self) -> WebElement:
        return self.browser.find_element(By.ID, "break")

    def until_more_come(self) -> None:
        before = len(self.numbers)
        self.until(lambda: len(self.numbers) >= before + 3)


@pytest.fixture
def blank_at_the_end(browser: Chrome) -> Iterator[Chrome]:
    size = browser.get_window_size()
    browser.set_window_size(720, 640)  # all of it, without a scrollbar
    yield browser
    browser.get("about:blank")
    browser.set_window_size(size["width"], size["height"])


def test_a_page_that_was_cut_off_misses_nothing(blank_at_the_end: Chrome) -> None:
    with running() as address:
        page = PricesPage(blank_at_the_end, address)
        page.until_more_come()
        for breaks in (1, 2):
            page.button.click()
            page.until_noted("resumed after", breaks)
            page.until_more_come()
        numbers = page.numbers
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        keep_picture("price-feed", page.picture())


def test_the_button_stays_under_the_pointer_while_rows_and_notes_are_added(blank_at_the_end: Chrome) -> None:
    with running() as address:
        page = PricesPage(blank_at_the_end, address)
        first = page.button.rect
        page.until(lambda: len(set(page.browser.execute_script("return [...rows.keys()]"))) == 3)
        page.button.click()
        page.until_noted("resumed after")
        assert page.button.rect == first


def test_a_page_is_told_of_a_feed_that_began_again(blank_at_the_end: Chrome) -> None:
    with running() as address:
        page = PricesPage(blank_at_the_end, address)
        page.until_more_come()
    page.until(lambda: page.text_of("status") == "connecting")
    with running(address.rpartition(":")[2]):
        page.until_noted("begun again")
        page.until_more_come()
        numbers = page.numbers
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_the_page_takes_the_same_sdk_from_the_cdn() -> None:
    require_node()
    found = re.search(
        r'centrifuge@([\d.]+)/dist/centrifuge\.js"\s+integrity="sha384-([^"]+)"',
        (EXAMPLES / "price_feed.html").read_text(),
    )
    assert found is not None
    assert f'"version": "{found[1]}"' in (SDK.parents[1] / "package.json").read_text()
    assert base64.b64encode(hashlib.sha384(SDK.read_bytes()).digest()).decode() == found[2]
