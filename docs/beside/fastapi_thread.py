"""FastAPI and wsframe in one process: wsframe has a thread of its own.

Run it with ``uvicorn fastapi_thread:app``.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import wsframe
from wsframe import Client, Registry, Resource

PORT = int(os.environ.get("WEBSOCKET_PORT", "8001"))


class Room(Resource):
    async def received_text(self, client: Client, message: str) -> None:
        self.broadcast_text(message)

    async def received_custom(self, message: object) -> None:
        self.broadcast_text(str(message))


room = Room()
registry = Registry()
registry.register("/room", room, wsframe.origin_exact("http://127.0.0.1:8000", missing=True))


@asynccontextmanager
async def websockets(app: FastAPI) -> AsyncIterator[None]:
    """Serve WebSockets while the application runs."""
    with wsframe.serving(registry, port=PORT) as server:
        print("WebSockets at", *server.addresses, flush=True)
        yield


app = FastAPI(lifespan=websockets)


@app.post("/say")
async def say(message: str) -> dict[str, int]:
    room.post_from_thread(message)  # the hooks run in the other thread
    return {"clients": len(room.clients)}
