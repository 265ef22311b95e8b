"""Step 5: something that happens by itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

import wsframe
from wsframe import Client, Resource, register_global_resource


class Room(Resource):
    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.start_soon(self.count_heads)
        yield

    async def count_heads(self) -> None:
        while True:
            self.broadcast_text(f"{len(self.clients)} here")
            await trio.sleep(1)

    async def received_text(self, client: Client, message: str) -> None:
        self.broadcast_text(message)


register_global_resource("/chat", Room())

if __name__ == "__main__":
    wsframe.run(port=8000)
