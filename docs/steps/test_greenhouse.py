"""The dashboard and a page that does not read, for five seconds that take a moment."""

import json

import trio
from greenhouse import SENSORS, Greenhouse
from trio.testing import MockClock

from wsframe.testing import open_kit


async def test_a_slow_page_gets_the_newest_figure_of_each_sensor(autojump_clock: MockClock) -> None:
    greenhouse = Greenhouse()
    async with open_kit(greenhouse) as kit:
        page = await kit.connect(buffer=1000)
        assert set(await page.receive_json()) == set(SENSORS)
        page.stall()
        await trio.sleep(5)
        page.resume()
        await trio.sleep(0.05)
        messages = page.received()
        assert len(messages) < 200, "of 400"
        shown: dict[str, float] = {}
        for message in messages:
            shown |= json.loads(message)
        assert shown == greenhouse.degrees
