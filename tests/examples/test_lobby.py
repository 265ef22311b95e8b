"""The chat room over two servers, in a real browser: presence, and nothing missed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest
from selenium.webdriver import Chrome

from tests.backplane.redis_server import RedisServer, redis_server
from tests.examples.pages import Page, keep_picture, open_page
from tests.examples.running import EXAMPLES, example_running
from tests.requirements import NODE, require_node, require_package

SDK = NODE / "node_modules/centrifuge/dist/centrifuge.js"
SIZE = (640, 420)


class Servers(NamedTuple):
    """Two servers of the room and their Redis."""

    redis: RedisServer
    addresses: list[str]


class Lobby:
    """The room, and the pages of its visitors."""

    def __init__(self, browser: Chrome, servers: Servers, stack: ExitStack) -> None:
        self.redis, self.addresses = servers
        self._browser = browser
        self._stack = stack

    def enter(self, name: str, server: int) -> Page:
        page = open_page(self._browser, f"{self.addresses[server]}/?name={name}", size=SIZE)
        entered = self._stack.enter_context(page)
        entered.wait(lambda: name in entered.texts("#people li"))
        return entered


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    require_node()
    require_package("glide")
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(tmp_path_factory.mktemp("redis")))
        arguments = ("--port", "0", "--sdk", str(SDK), "--backplane", redis.url)
        yield Servers(redis, [stack.enter_context(example_running("lobby.py", *arguments)) for _ in range(2)])


@pytest.fixture
def lobby(browser: Chrome, servers: Servers) -> Iterator[Lobby]:
    with ExitStack() as stack:
        yield Lobby(browser, servers, stack)


def say(page: Page, text: str) -> None:
    page.type("#text", text)


def test_people_on_two_servers_see_each_other_and_a_reload_announces_nobody(lobby: Lobby) -> None:
    ann, bob = lobby.enter("ann", 0), lobby.enter("bob", 1)
    ann.wait(lambda: ann.texts("#people li") == ["ann", "bob"])
    bob.wait(lambda: bob.texts("#people li") == ["ann", "bob"])
    say(ann, "hello from the first server")
    say(bob, "and from the second <b>one</b>")
    for page in (ann, bob):
        page.wait_for("#log li", "bob: and from the second <b>one</b>")
        page.wait_for("#log li", "ann: hello from the first server")
    keep_picture("lobby", ann.picture(), bob.picture())
    before = ann.texts("#log .note")
    bob.run("location.reload()")
    bob.wait_for("#log li", "ann: hello from the first server")
    bob.wait(lambda: bob.texts("#people li") == ["ann", "bob"])
    say(bob, "I am back")
    ann.wait_for("#log li", "bob: I am back")
    assert ann.texts("#log .note") == before


def test_a_page_misses_nothing_while_the_servers_are_cut_from_redis(lobby: Lobby) -> None:
    ann, bob = lobby.enter("ann", 0), lobby.enter("bob", 1)
    say(ann, "one")
    bob.wait_for("#log li", "ann: one")
    lobby.redis.kill_connections()
    number = 0
    while not any(text.startswith("ann: number") for text in bob.texts("#log li")):
        number += 1
        say(ann, f"number {number}")
        ann.wait(lambda: ann.text("#text") == "")
    say(bob, "last")
    for page in (ann, bob):
        page.wait_for("#log li", "bob: last")
    said = [text for text in ann.texts("#log li") if text.startswith("ann: number")]
    assert [text for text in bob.texts("#log li") if text.startswith("ann: number")] == said


def test_a_name_that_cannot_be_one_is_told(lobby: Lobby, browser: Chrome) -> None:
    with open_page(browser, f"{lobby.addresses[0]}/?name={'x' * 21}", size=SIZE) as page:
        page.wait_for("#log li", "a name has 1 to 20 characters")


def test_the_page_takes_the_same_sdk_as_the_price_feed() -> None:
    scripts = [
        (EXAMPLES / name).read_text().partition("<!-- sdk -->")[2].partition("<!-- end of sdk -->")[0]
        for name in ("lobby.html", "price_feed.html")
    ]
    assert scripts[0] == scripts[1] != ""
