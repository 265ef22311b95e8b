"""A price feed for the SDK of Centrifugo: a page that was cut off gets all that it has missed.

Run it with ``python examples/price_feed.py``, and open the address it prints. The page is ``price_feed.html``,
next to this file; it takes the SDK from a CDN, or from a file named by ``--sdk``. Its button breaks the
connection for a moment.
"""

import argparse
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from sdk_page import register_page, take_sdk_from

import wsframe
from wsframe import Client, Server, register_global_resource
from wsframe.backplane import History
from wsframe.centrifuge import CentrifugeResource

PAGE = Path(__file__).with_name("price_feed.html")
SYMBOLS = {"ACME": 1250, "BOLT": 310, "CRUX": 9800}


class Prices(CentrifugeResource):
    """Publishes a price on the channel ``prices`` every 100 ms, and keeps those of 20 s."""

    scope = "one"  # it trades itself, and once for the whole service
    history = History(messages=200, seconds=20)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.start_soon(self.trade)
        yield

    async def trade(self) -> None:
        cents = dict(SYMBOLS)
        number = 0
        while True:
            symbol = random.choice([*cents])
            cents[symbol] = max(1, cents[symbol] + random.randint(-20, 20))
            number += 1
            self.publish("prices", {"number": number, "symbol": symbol, "price": cents[symbol] / 100})
            await trio.sleep(0.1)

    async def rpc(self, client: Client, method: str, data: object) -> object:
        if method == "break":
            return client.abort()
        return await super().rpc(client, method, data)


register_global_resource("/connection/websocket", Prices())
register_page(PAGE)


def announce(server: Server) -> None:
    print(f"Serving at http{server.addresses[0].removeprefix('ws')}/", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Publish prices.")
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one (default 8000)")
    parser.add_argument("--sdk", help="dist/centrifuge.js of the npm package, for a page without a CDN")
    arguments = parser.parse_args()
    if arguments.sdk:
        take_sdk_from(PAGE, arguments.sdk)
    wsframe.run(port=arguments.port, started=announce)
