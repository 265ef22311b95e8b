"""A live dashboard: eight sensors, a page that draws them, and clients that read slowly."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

import wsframe
from wsframe import Client, Resource, register_global_resource, register_global_route, static_file

SENSORS = ("bananas", "cacti", "ferns", "lemons", "moss", "orchids", "rice", "tomatoes")


class Greenhouse(Resource):
    overflow = "drop_oldest"

    def __init__(self) -> None:
        self.degrees = dict.fromkeys(SENSORS, 20.0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.start_soon(self.measure)
        yield

    async def client_connected(self, client: Client) -> None:
        client.send_json(self.degrees)

    async def measure(self) -> None:
        while True:
            for sensor in SENSORS:
                warmer = (20 - self.degrees[sensor]) / 50 + random.gauss(0, 0.2)
                self.degrees[sensor] = round(self.degrees[sensor] + warmer, 2)
                self.broadcast_json({sensor: self.degrees[sensor]}, key=sensor)
            await trio.sleep(0.1)


register_global_resource("/greenhouse", Greenhouse())
register_global_route("/", static_file(Path(__file__).with_name("greenhouse.html")))
register_global_route("/wsframe.js", wsframe.browser_client)

if __name__ == "__main__":
    wsframe.run(port=8000)
