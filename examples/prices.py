"""A price dashboard: 200 symbols change 50 times a second, on pages that keep up and on pages that do not.

Run it with ``python examples/prices.py`` or ``wsframe serve examples/prices.py``, and open the address it prints.

* A page gets one message for each sector and tick, with the sector as its ``key``: where a page is slow to read, the
  newest prices of a sector replace those that still wait for it.
* A page that is slow to *draw* has read the messages already. It connects to ``/prices?pace=ready``, gets one message
  with all prices, and says ``ready`` once it has drawn them.
* The chart of a symbol survives a lost connection: the page names the last point it has, and gets those after it.
"""

import argparse
import json
import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

import wsframe
from wsframe import Client, Limits, Resource, Server, register_global_resource, register_global_route, static_file

SECTORS, SYMBOLS = ("Energy", "Food", "Metals", "Paper"), 50
TICK = 1 / 50  # seconds
TICKS_OF_A_POINT = 5
POINTS = 600  # one minute


class Pace:
    """How far a client is: whether it gets each tick, or waits until it is ready."""

    def __init__(self, *, acknowledges: bool) -> None:
        self.acknowledges = acknowledges
        self.ready = True
        self.sent = -1
        """The last tick that it was sent."""


class Prices(Resource[Pace]):
    """All prices; a task changes them."""

    limits = Limits(max_message=200, max_outbox=256 * 1024, unsent_low_water=16 * 1024)

    def __init__(self, seed: int | None = None) -> None:
        self.random = random.Random(seed)
        self.tick = 0
        self.prices = [[self.random.uniform(20, 200) for _ in range(SYMBOLS)] for _ in SECTORS]
        self.charts = [[deque[tuple[int, float]](maxlen=POINTS) for _ in range(SYMBOLS)] for _ in SECTORS]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.start_soon(self.trade)
        yield

    async def trade(self) -> None:
        due = trio.current_time()
        while True:
            self.change()
            self.send_tick()
            due = max(due + TICK, trio.current_time() - 1)  # after a pause it does not catch up
            await trio.sleep_until(due)

    def change(self) -> None:
        self.tick += 1
        for sector, charts in zip(self.prices, self.charts, strict=True):
            for number, price in enumerate(sector):
                sector[number] = price = max(1.0, price * (1 + self.random.gauss(0, 0.0008)))
                if self.tick % TICKS_OF_A_POINT == 0:
                    charts[number].append((self.tick // TICKS_OF_A_POINT, round(price, 2)))

    def send_tick(self) -> None:
        fast = [client for client in self.clients if not client.data.acknowledges]
        for sector in range(len(SECTORS)):
            self.broadcast_json(self.message([sector]), clients=fast, key=sector)
        for client in self.clients:
            if client.data.acknowledges:
                self.send_if_ready(client)

    def send_if_ready(self, client: Client[Pace]) -> None:
        pace = client.data
        if pace.ready and pace.sent < self.tick:
            client.send_json(self.message(range(len(SECTORS))))
            pace.ready, pace.sent = False, self.tick

    def message(self, sectors: list[int] | range) -> object:
        return {"tick": self.tick, "prices": {i: [round(price, 2) for price in self.prices[i]] for i in sectors}}

    async def client_connected(self, client: Client[Pace]) -> None:
        client.data = Pace(acknowledges=client.request.query.get("pace") == ["ready"])
        client.send_json({"sectors": SECTORS, "symbols": SYMBOLS, "second": round(1 / TICK)})

    async def received_text(self, client: Client[Pace], message: str) -> None:
        if message == "ready":
            client.data.ready = True
            self.send_if_ready(client)
            return
        asked = json.loads(message)
        sector, number, after = (int(asked[name]) for name in ("sector", "number", "after"))
        points = [point for point in self.charts[sector][number] if point[0] > after]
        client.send_json({"chart": [sector, number], "points": points})


register_global_resource("/prices", Prices())
register_global_route("/", static_file(Path(__file__).with_name("prices.html")))
register_global_route("/wsframe.js", wsframe.browser_client)


def announce(server: Server) -> None:
    print(f"Prices at http{server.addresses[0].removeprefix('ws')}/ (add #slow for a slow page)", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve a price dashboard.")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one (default 8000)")
    wsframe.run(port=parser.parse_args().port, started=announce)
