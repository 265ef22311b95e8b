"""The browser client in a real browser, with servers that come and go."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.support.wait import WebDriverWait

from tests.examples.running import program_running
from tests.patience import PATIENCE

PROGRAM = Path(__file__).with_name("served.py")


def running(port: str = "0") -> AbstractContextManager[str]:
    return program_running(sys.executable, str(PROGRAM), "--port", port)


class Page:
    """The page of ``served.py`` in a window of its own."""

    def __init__(self, browser: Chrome, address: str) -> None:
        self.browser = browser
        self.first_window = browser.current_window_handle
        browser.switch_to.new_window("window")
        browser.get(f"{address}/")
        self.until(lambda: bool(self.run("return window.ready")))

    def run(self, script: str, *arguments: object) -> Any:
        return self.browser.execute_script(script, *arguments)

    def start(self, **options: object) -> None:
        self.run("start(arguments[0])", options)

    @property
    def seen(self) -> list[str]:
        seen: list[str] = self.run("return seen")
        return seen

    @property
    def state(self) -> str:
        return str(self.run("return connection.state"))

    def until(self, holds: Callable[[], bool]) -> None:
        WebDriverWait(self.browser, PATIENCE, poll_frequency=0.05).until(lambda _: holds())

    def until_seen(self, *events: str) -> None:
        self.until(lambda: all(event in self.seen for event in events))

    def close(self) -> None:
        self.browser.close()
        self.browser.switch_to.window(self.first_window)


@pytest.fixture
def pages(browser: Chrome) -> Iterator[Callable[[str], Page]]:
    opened: list[Page] = []

    def open_page(address: str) -> Page:
        opened.append(Page(browser, address))
        return opened[-1]

    yield open_page
    for page in opened:
        page.close()


def test_it_lives_through_a_restart_and_sends_what_waited(pages: Callable[[str], Page]) -> None:
    with running() as address:
        page = pages(address)
        page.start()
        page.run("connection.send('one'); connection.send(new Uint8Array([1, 2, 3]))")
        page.until_seen("open false", "message heard one", "message 3,2,1")
    page.until_seen("close 1001 server stopping false")
    assert page.run("return connection.send('two')") is True
    assert page.run("return connection.queued") == 1
    with running(address.rpartition(":")[2]):
        page.until_seen("open true", "message heard two")
        assert (page.state, page.run("return connection.queued")) == ("open", 0)


def test_codes_that_are_final_end_it_and_others_do_not(pages: Callable[[str], Page]) -> None:
    with running() as address:
        page = pages(address)
        page.start()
        page.run("connection.send('close 1012')")
        page.until_seen("close 1012 as told false", "open true")
        page.run("connection.send('close 1008')")
        page.until_seen("close 1008 as told true")
        assert page.state == "closed"
        assert page.run("return connection.send('late')") is False
        assert page.seen[-1] == "dropped late"


def test_close_ends_it_in_order(pages: Callable[[str], Page]) -> None:
    with running() as address:
        page = pages(address)
        page.start()
        page.until_seen("open false")
        page.run("connection.close(4000, 'bye')")
        page.until_seen("close 4000 bye true")


def test_silence_and_a_queue_that_is_full(pages: Callable[[str], Page]) -> None:
    with running() as address:
        page = pages(address)
        page.start(silence=100, maxQueued=1)
        page.until_seen("close 1006 silence false", "open true")
        page.run("connection.close()")
        # In one script, during which no connection can come about.
        taken = page.run("start({ maxQueued: 1 }); return [connection.send('a'), connection.send('b')]")
        assert taken == [True, False]
        page.until_seen("dropped b", "message heard a")
