"""A task of the resource: it counts by itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

import wsframe
from wsframe import Resource, register_global_resource


class Ticker(Resource):
    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.start_soon(self.count)
        yield

    async def count(self) -> None:
        number = 0
        while True:
            self.broadcast_text(f"{number}, {len(self.clients)} here")
            number += 1
            await trio.sleep(1)


register_global_resource("/ticker", Ticker())

if __name__ == "__main__":
    wsframe.run(port=8000)
