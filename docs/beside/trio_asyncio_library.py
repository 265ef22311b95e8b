"""A hook awaits an asyncio library by trio-asyncio, whose loop runs in the same thread."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio_asyncio

import wsframe
from wsframe import Client, Resource, register_global_resource


async def look_up(word: str) -> str:
    """Stand for the library."""
    await asyncio.sleep(0.01)
    if not word:
        raise LookupError("no word")
    return f"{word} found"


class Words(Resource):
    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio_asyncio.open_loop():
            yield

    async def received_text(self, client: Client, message: str) -> None:
        client.send_text(await trio_asyncio.aio_as_trio(look_up)(message))


register_global_resource("/words", Words())

if __name__ == "__main__":
    wsframe.run(started=lambda server: print("Serving at", *server.addresses))
