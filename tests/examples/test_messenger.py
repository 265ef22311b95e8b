"""The messenger in a real browser: login, rooms, history, typing, presence, private lines, moderation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.examples.pages import Page, keep_picture, open_page
from tests.examples.running import example_running


class Visitors:
    """People at the messenger. Cookies belong to a host, so each host name is a person's browser."""

    def __init__(self, browser: Chrome, address: str, stack: ExitStack) -> None:
        self.browser = browser
        self.port = address.rpartition(":")[2]
        self.stack = stack

    def open(self, host: str, path: str = "") -> Page:
        return self.stack.enter_context(open_page(self.browser, f"http://{host}:{self.port}/{path}"))

    def log_in(self, host: str, name: str, password: str = "secret") -> Page:
        page = self.open(host)
        page.type("#name", name, enter=False)
        page.type("#password", password)
        return page

    def enter(self, host: str, name: str) -> Page:
        page = self.log_in(host, name)
        page.wait_for("#status", "connected")
        page.wait_for("#you", name)
        return page


@pytest.fixture
def visitors(browser: Chrome, tmp_path: Path) -> Iterator[Visitors]:
    database = str(tmp_path / "lines.db")
    with example_running("messenger.py", "--port", "0", "--database", database) as address, ExitStack() as stack:
        yield Visitors(browser, address, stack)
        browser.delete_all_cookies()


def lines(page: Page) -> list[str]:
    return page.texts("#log li span")


def test_two_people_talk_and_see_who_is_there_and_types(visitors: Visitors) -> None:
    ann, bob = visitors.enter("127.0.0.1", "ann"), visitors.enter("localhost", "bob")
    ann.wait(lambda: ann.texts("#people span") == ["ann", "bob"])
    ann.type("#text", "Is anybody in the kitchen?")
    bob.wait_for("#log", "ann: Is anybody in the kitchen?")
    bob.type("#text", "Not <b>yet</b>. The kettle is on, though.")
    ann.wait_for("#log", "bob: Not <b>yet</b>.")
    bob.type("#text", "@ann psst: there is cake")
    ann.wait_for("#log .private", "bob \u2192 ann: psst: there is cake")
    ann.type("#text", "On my way", enter=False)
    bob.wait_for("#typing", "ann typing")
    keep_picture("messenger", ann.picture(), bob.picture())
    assert len(lines(ann)) == len(lines(bob)) == 3


def test_it_fits_a_phone_in_the_dark(visitors: Visitors) -> None:
    phone = {"width": 390, "height": 700, "deviceScaleFactor": 1, "mobile": True}
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    ann = visitors.enter("127.0.0.1", "ann")
    visitors.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    visitors.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    ann.type("#text", "a-word-without-a-space-that-is-wider-than-a-phone" * 3)
    ann.wait(lambda: lines(ann))
    assert ann.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert ann.run("return getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"


def test_history_outlives_the_room_and_other_rooms_have_their_own(visitors: Visitors) -> None:
    ann = visitors.enter("127.0.0.1", "ann")
    ann.type("#text", "for later")
    ann.wait_for("#log", "for later")
    ann.run("location.href = 'about:blank'")  # the room is empty and ends
    again = visitors.open("127.0.0.1")
    again.wait_for("#log", "ann: for later")
    kitchen = visitors.open("127.0.0.1", "#kitchen")
    kitchen.wait_for("#status", "connected")
    kitchen.type("#text", "first line here")
    kitchen.wait_for("#log", "first line here")
    assert lines(kitchen) == ["first line here"]
    assert lines(again) == ["for later"]


def test_the_first_account_moderates(visitors: Visitors) -> None:
    ann, bob = visitors.enter("127.0.0.1", "ann"), visitors.enter("localhost", "bob")
    bob.type("#text", "buy my pills")
    ann.wait_for("#log", "buy my pills")
    bob.run("document.querySelector('#log .small').click()")  # hidden for bob, and of no use to him
    bob.wait_for("#log .note", "does not understand")
    ann.click("#log .small")
    bob.wait(lambda: "buy my pills" not in bob.text("#log"))
    ann.click("#people .small")
    bob.wait_for("#status", "ann has sent you away")
    ann.wait(lambda: ann.texts("#people span") == ["ann"])
    bob.run("location.reload()")
    bob.wait_for("#status", "you were sent away from this room")


def test_a_wrong_password_does_not_log_in_and_logging_out_ends_the_session(visitors: Visitors) -> None:
    ann = visitors.enter("127.0.0.1", "ann")
    stranger = visitors.log_in("localhost", "ann", "guessed")
    stranger.wait_for("#error", "not the one of this name")
    ann.click(".logout")
    ann.wait(lambda: ann.run("return !!document.querySelector('#password')"))
