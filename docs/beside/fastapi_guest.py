"""FastAPI and wsframe in one thread: trio is a guest of uvicorn's loop.

Run it with ``uvicorn fastapi_guest:app``.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from fastapi import FastAPI
from outcome import Outcome

import wsframe
from wsframe import Client, Registry, Resource, Server

PORT = int(os.environ.get("WEBSOCKET_PORT", "8001"))


class Room(Resource):
    async def received_text(self, client: Client, message: str) -> None:
        self.broadcast_text(message)


room = Room()
registry = Registry()
registry.register("/room", room, wsframe.origin_exact("http://127.0.0.1:8000", missing=True))


@asynccontextmanager
async def websockets(app: FastAPI) -> AsyncIterator[None]:
    """Serve WebSockets while the application runs."""
    loop = asyncio.get_running_loop()
    started: asyncio.Future[Server] = loop.create_future()
    ended: asyncio.Future[Outcome[None]] = loop.create_future()

    async def serve() -> None:
        async with wsframe.open_server(registry, port=PORT) as server:
            started.set_result(server)
            await server.closed()

    trio.lowlevel.start_guest_run(
        serve,
        run_sync_soon_threadsafe=loop.call_soon_threadsafe,
        run_sync_soon_not_threadsafe=loop.call_soon,
        done_callback=ended.set_result,
        host_uses_signal_set_wakeup_fd=True,
    )
    both: list[asyncio.Future[Any]] = [started, ended]
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if ended.done():
        ended.result().unwrap()  # raises the error that kept it from serving
    print("WebSockets at", *started.result().addresses, flush=True)
    yield
    started.result().close()
    (await ended).unwrap()


app = FastAPI(lifespan=websockets)


@app.post("/say")
async def say(message: str) -> dict[str, int]:
    return {"queued": room.broadcast_text(message).queued}  # the same thread, so sends need nothing else
