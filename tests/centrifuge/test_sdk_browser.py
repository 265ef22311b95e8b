"""npm's ``centrifuge``, unchanged, in Chromium: tokens, presence, calls, recovery, and codes that end it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.support.wait import WebDriverWait

from tests.examples.conftest import browser
from tests.examples.running import program_running
from tests.patience import PATIENCE
from tests.requirements import NODE, require_node

__all__ = ["browser"]

HERE = Path(__file__).parent
SDK = NODE / "node_modules/centrifuge/dist/centrifuge.js"

START = """
const [options, channel] = arguments;
window.seen = [];
const address = new URL("connection/websocket", location);
address.protocol = "ws:";
window.centrifuge = new Centrifuge(address.href, { minReconnectDelay: 50, maxReconnectDelay: 200, ...options,
  getToken: options.tokens ? async () => options.tokens.shift() : null });
const note = (of, events) => events.forEach(name => of.on(name, context => seen.push({ name, ...context })));
note(centrifuge, ["connected", "connecting", "disconnected", "error"]);
window.subscription = centrifuge.newSubscription(channel, { recoverable: true, joinLeave: true });
note(subscription, ["publication", "subscribed", "unsubscribed", "join", "leave"]);
subscription.subscribe();
centrifuge.connect();
"""


class Page:
    """A page with the SDK, in a window of its own."""

    def __init__(self, browser: Chrome, address: str, channel: str, **options: object) -> None:
        self.browser = browser
        browser.switch_to.new_window("window")
        self.window = browser.current_window_handle
        browser.get(f"{address}/")
        self.run(START, options, channel)

    def run(self, script: str, *arguments: object) -> Any:
        self.browser.switch_to.window(self.window)
        return self.browser.execute_script(script, *arguments)

    def result(self, expression: str, *arguments: object) -> Any:
        """Return the result of an expression that is a promise; its error as ``{code, message}``."""
        self.browser.switch_to.window(self.window)
        script = f"const done = arguments[arguments.length - 1]; {expression}.then(done, done)"
        return self.browser.execute_async_script(script, *arguments)

    def of(self, name: str) -> list[Any]:
        found: list[Any] = self.run("return seen.filter(one => one.name === arguments[0])", name)
        return found

    def until(self, holds: Callable[[], object]) -> None:
        WebDriverWait(self.browser, PATIENCE, poll_frequency=0.05).until(lambda _: holds())


@pytest.fixture
def open_page(browser: Chrome) -> Iterator[Callable[..., Page]]:
    require_node()
    first = browser.current_window_handle
    pages: list[Page] = []
    command = [sys.executable, str(HERE / "served.py"), "--port", "0", "--sdk", str(SDK)]
    with program_running(*command) as address:

        def make(channel: str, **options: object) -> Page:
            pages.append(Page(browser, address, channel, **options))
            return pages[-1]

        yield make
        for page in pages:
            browser.switch_to.window(page.window)
            browser.close()
        browser.switch_to.window(first)


def test_pages_connect_with_tokens_and_see_each_other(open_page: Callable[..., Page]) -> None:
    ann = open_page("open:room", tokens=["ann expires 1", "ann expires 100"])
    bob = open_page("open:room", token="bob")
    ann.until(lambda: any(one["info"]["user"] == "bob" for one in ann.of("join")))
    present = bob.result("subscription.presence()")["clients"]
    assert sorted(one["user"] for one in present.values()) == ["ann", "bob"]
    assert bob.result("subscription.publish('hello')") == {}
    ann.until(lambda: [one["data"] for one in ann.of("publication")] == ["hello"])
    assert ann.result("centrifuge.rpc('echo', [1])") == {"data": {"you": [1]}}
    assert ann.result("centrifuge.rpc('nope')")["code"] == 104
    ann.until(lambda: ann.run("return centrifuge._token") == "ann expires 100")  # it was refreshed
    assert len(ann.of("connecting")) == 1
    bob.run("centrifuge.disconnect()")
    ann.until(lambda: any(one["info"]["user"] == "bob" for one in ann.of("leave")))


def test_a_page_that_was_cut_goes_on_where_it_was(open_page: Callable[..., Page]) -> None:
    page, other = open_page("kept:page"), open_page("kept:page")
    page.until(lambda: page.of("subscribed"))
    other.until(lambda: other.of("subscribed"))
    other.result("centrifuge.rpc('publish', {channel: 'kept:page', data: 1})")
    page.until(lambda: len(page.of("publication")) == 1)
    page.run("centrifuge.rpc('close', {code: 3000, reason: ''}).catch(() => {})")
    for number in (2, 3):
        other.result("centrifuge.rpc('publish', {channel: 'kept:page', data: arguments[0]})", number)
    page.until(lambda: len(page.of("publication")) == 3)
    page.until(lambda: len(page.of("subscribed")) == 2)
    assert [one["data"] for one in page.of("publication")] == [1, 2, 3]
    assert page.of("subscribed")[1]["recovered"] is True


def test_a_page_that_is_refused_does_not_come_back(open_page: Callable[..., Page]) -> None:
    page = open_page("secret:page", token="nobody")
    page.until(lambda: page.of("disconnected"))
    assert page.of("disconnected")[0]["code"] == 3500
    other = open_page("secret:page")
    other.until(lambda: other.of("unsubscribed"))
    assert other.of("unsubscribed")[0]["code"] == 103
