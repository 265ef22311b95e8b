"""The price dashboard: in memory by the clock, and in a real browser."""

from __future__ import annotations

import json
import runpy
from typing import Any

import pytest
import trio
import trio.lowlevel
from selenium.webdriver import Chrome
from trio.testing import MockClock

import wsframe
from tests.examples.pages import Page, keep_picture, open_page
from tests.examples.running import EXAMPLES, example_running
from wsframe.testing import MemoryClient, open_kit


@pytest.fixture
def prices() -> Any:
    """Give the resource of the example, with prices that are the same each time."""
    made = runpy.run_path(str(EXAMPLES / "prices.py"))["Prices"]
    wsframe.unregister_global_resource("/prices")
    for path in ("/", "/wsframe.js"):
        wsframe.unregister_global_route(path)
    return made(seed=1)


def ticks(client: MemoryClient) -> list[int]:
    messages = [json.loads(message) for message in client.received()]
    return [message["tick"] for message in messages if "tick" in message]


async def test_a_page_that_keeps_up_gets_each_tick_of_each_sector(prices: Any, autojump_clock: MockClock) -> None:
    async with open_kit(prices) as kit:
        client = await kit.connect()
        await trio.sleep(1.001)
        seen = ticks(client)
        assert seen == [tick for tick in range(seen[0], seen[-1] + 1) for _ in range(4)]
        assert 49 <= len(seen) / 4 <= 51


async def test_a_page_that_reads_slowly_gets_the_newest_prices(prices: Any, autojump_clock: MockClock) -> None:
    async with open_kit(prices) as kit:
        client = await kit.connect(bytes_per_second=20_000)  # a tenth of all prices
        await trio.sleep(20)
        seen = ticks(client)
        assert len(seen) < 20 * 50 * 4 / 2, "most ticks were replaced"
        assert seen == sorted(seen)
        assert len(kit.server.find("/").clients) == 1, "it stays connected"  # type: ignore[union-attr]


async def test_a_page_that_acknowledges_gets_one_message_at_a_time(prices: Any, autojump_clock: MockClock) -> None:
    async with open_kit(prices) as kit:
        client = await kit.connect("/?pace=ready")
        await trio.sleep(1)
        (first,) = ticks(client)
        client.send_text("ready")
        await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
        (second,) = ticks(client)
        assert second > first + 40, "it is the newest"
        client.send_text("ready")
        client.send_text("ready")
        await trio.testing.wait_all_tasks_blocked()
        assert ticks(client) == [], "there is nothing newer yet"


async def test_a_chart_goes_on_after_the_last_point_that_a_page_has(prices: Any, autojump_clock: MockClock) -> None:
    async def chart_after(client: MemoryClient, after: int) -> list[int]:
        client.send_text(json.dumps({"sector": 1, "number": 7, "after": after}))
        while True:
            message = json.loads(await client.receive_text())
            if "chart" in message:
                assert message["chart"] == [1, 7]
                return [number for number, _ in message["points"]]

    async with open_kit(prices) as kit:
        first = await kit.connect("/?pace=ready")
        await trio.sleep(1)
        known = await chart_after(first, 0)
        first.close()
        await trio.sleep(2)
        second = await kit.connect("/?pace=ready")
        missed = await chart_after(second, known[-1])
        assert known + missed == list(range(known[0], missed[-1] + 1))
        assert len(missed) >= 19


def numbers(page: Page) -> list[int]:
    found = page.run("return pointNumbers()")
    assert isinstance(found, list)
    return found


def test_the_page_draws_the_chart_of_a_symbol_and_resumes_it(browser: Chrome) -> None:
    with example_running("prices.py", "--port", "0") as address, open_page(browser, f"{address}/") as page:
        page.wait_for("#status", "connected")
        page.wait(lambda: len(page.texts("#grid div")) == 200)
        page.click("#grid div:nth-child(60)")
        page.wait_for("#name", "FO10")
        page.wait(lambda: page.number("#points") > 30)
        keep_picture("prices", page.picture())
        page.click("#offline")
        page.wait_for("#status", "offline")
        last = numbers(page)[-1]
        page.run("setTimeout(() => document.querySelector('#offline').click(), 1000)")
        page.wait(lambda: page.number("#resumed") > 0)
        page.wait(lambda: numbers(page)[-1] > last + 15)
        shown = numbers(page)
        assert shown == list(range(shown[0], shown[-1] + 1)), "the gap is filled"


def test_a_slow_page_skips_ticks_and_stays_connected(browser: Chrome) -> None:
    with example_running("prices.py", "--port", "0") as address, open_page(browser, f"{address}/#slow") as page:
        page.wait(lambda: page.number("#skipped") > 20)
        assert page.text("#status") == "connected"
