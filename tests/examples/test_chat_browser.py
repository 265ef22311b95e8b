"""The chat example works between two pages of a real browser."""

from collections.abc import Callable, Iterator

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.examples.running import example_running
from tests.patience import PATIENCE


class ChatPage:
    """The chat page in a window of its own."""

    def __init__(self, browser: Chrome, address: str) -> None:
        self.browser = browser
        self.first_window = browser.current_window_handle
        browser.switch_to.new_window("window")
        self.window = browser.current_window_handle
        browser.get(address)
        self.wait_until(lambda: self.text_of("status") == "connected")

    def text_of(self, element: str) -> str:
        self.browser.switch_to.window(self.window)
        return self.browser.find_element(By.ID, element).text

    @property
    def lines(self) -> list[str]:
        """The lines of the conversation that the page shows."""
        self.browser.switch_to.window(self.window)
        # One script, so that a line that comes in between cannot make an element stale.
        texts: list[str] = self.browser.execute_script(
            "return Array.from(document.querySelectorAll('#log > li'), line => line.textContent.trim())"
        )
        return texts

    def say(self, text: str) -> None:
        self.browser.switch_to.window(self.window)
        self.browser.find_element(By.ID, "text").send_keys(text + Keys.ENTER)

    def call_yourself(self, nickname: str) -> None:
        self.say(f"/nick {nickname}")
        self.wait_until(lambda: self.text_of("nickname") == nickname)

    def wait_for(self, line: str) -> None:
        self.wait_until(lambda: line in self.lines)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        WebDriverWait(self.browser, PATIENCE, poll_frequency=0.05).until(lambda _: condition())

    def close(self) -> None:
        self.browser.switch_to.window(self.window)
        self.browser.close()
        self.browser.switch_to.window(self.first_window)


@pytest.fixture
def address() -> Iterator[str]:
    with example_running("chat.py", "--port", "0") as address:
        yield f"{address}/"


@pytest.fixture
def ann(browser: Chrome, address: str) -> Iterator[ChatPage]:
    page = ChatPage(browser, address)
    page.call_yourself("ann")
    yield page
    page.close()


@pytest.fixture
def bob(browser: Chrome, address: str, ann: ChatPage) -> Iterator[ChatPage]:
    page = ChatPage(browser, address)
    page.call_yourself("bob")
    yield page
    page.close()


def test_each_page_sees_what_the_other_says(ann: ChatPage, bob: ChatPage) -> None:
    ann.say("hello bob")
    bob.wait_for("ann: hello bob")
    ann.wait_for("ann: hello bob")
    bob.say("hello <b>ann</b>")
    ann.wait_for("bob: hello <b>ann</b>")
    bob.wait_for("bob: hello <b>ann</b>")
    assert ann.lines.count("ann: hello bob") == 1


def test_a_page_sees_others_come_and_go(ann: ChatPage, browser: Chrome, address: str) -> None:
    guest = ChatPage(browser, address)
    given_name = guest.text_of("nickname")
    assert given_name
    ann.wait_for(f"{given_name} joined")
    guest.call_yourself("guest")
    guest.close()
    ann.wait_for("guest left")


def test_a_page_connects_again_and_keeps_its_nickname(browser: Chrome) -> None:
    with example_running("chat.py", "--port", "0") as address:
        page = ChatPage(browser, f"{address}/")
        page.call_yourself("ann")
    page.wait_until(lambda: page.text_of("status") == "connecting again")
    with example_running("chat.py", "--port", address.rpartition(":")[2]):
        page.wait_until(lambda: page.text_of("status") == "connected")
        assert page.text_of("nickname") == "ann"
        page.say("still here")
        page.wait_for("ann: still here")
        page.close()
