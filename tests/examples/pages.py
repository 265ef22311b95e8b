"""Pages of examples, each in a window of its own, and their pictures in the documents."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.documents import ROOT
from tests.patience import PATIENCE

__all__ = ["Page", "keep_picture", "open_page"]


class Page:
    """A page in a window of its own."""

    def __init__(self, browser: Chrome, address: str, size: tuple[int, int]) -> None:
        self.browser = browser
        browser.switch_to.new_window("window")
        self.window = browser.current_window_handle
        browser.set_window_size(*size)
        browser.get(address)

    def run(self, script: str, *arguments: object) -> object:
        """Run a script in the page and return its result."""
        self.browser.switch_to.window(self.window)
        return self.browser.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0])?.textContent ?? ''", selector))

    def texts(self, selector: str) -> list[str]:
        # One script, so that an element that changes in between cannot make another one stale.
        script = "return Array.from(document.querySelectorAll(arguments[0]), node => node.textContent)"
        found = self.run(script, selector)
        assert isinstance(found, list)
        return [str(text) for text in found]

    def number(self, selector: str) -> float:
        return float(self.text(selector).replace("\u202f", "").replace(",", "") or 0)

    def type(self, selector: str, text: str, *, enter: bool = True) -> None:
        self.browser.switch_to.window(self.window)
        self.browser.find_element(By.CSS_SELECTOR, selector).send_keys(text + (Keys.ENTER if enter else ""))

    def click(self, selector: str) -> None:
        self.run("document.querySelector(arguments[0]).click()", selector)

    def wait(self, condition: Callable[[], object]) -> None:
        WebDriverWait(self.browser, PATIENCE, poll_frequency=0.05).until(lambda _: condition())

    def wait_for(self, selector: str, text: str) -> None:
        """Wait until an element has this text in it."""
        self.wait(lambda: any(text in found for found in self.texts(selector)))

    def picture(self) -> Image.Image:
        self.browser.switch_to.window(self.window)
        return Image.open(io.BytesIO(self.browser.get_screenshot_as_png())).convert("RGB")


@contextmanager
def open_page(browser: Chrome, address: str, *, size: tuple[int, int] = (720, 560)) -> Iterator[Page]:
    """Open a page, and close its window at the end."""
    first = browser.current_window_handle
    page = Page(browser, address, size)
    try:
        yield page
    finally:
        browser.switch_to.window(page.window)
        browser.close()
        browser.switch_to.window(first)


def keep_picture(name: str, *pictures: Image.Image) -> None:
    """Check that each picture shows something; with WSFRAME_PICTURES=1 put them into the documents, side by side."""
    for picture in pictures:
        colors = picture.getcolors(maxcolors=2**24)
        assert colors is not None
        assert len(colors) > 10, f"{name} is empty"
    if os.environ.get("WSFRAME_PICTURES") != "1":
        return
    gap = 16
    width = sum(picture.width for picture in pictures) + gap * (len(pictures) - 1)
    joined = Image.new("RGB", (width, max(picture.height for picture in pictures)), (208, 213, 221))
    left = 0
    for picture in pictures:
        joined.paste(picture, (left, 0))
        left += picture.width + gap
    folder = ROOT / "docs/images"
    folder.mkdir(exist_ok=True)
    joined.quantize(128).save(folder / f"{name}.png", optimize=True)
