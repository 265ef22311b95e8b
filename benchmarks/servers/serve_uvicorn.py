"""uvicorn with a bare ASGI application; ASGI has no broadcast, so it sends to each connection in turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from benchmarks.servers.terms import BACKLOG, HOST, MAX_MESSAGE, read_terms

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
everybody: set[Send] = set()


async def application(scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    if scope["path"] == "/broadcast":
        everybody.add(send)
    try:
        while (message := await receive())["type"] == "websocket.receive":
            answer = {**message, "type": "websocket.send"}
            for other in list(everybody) or [send]:
                await other(answer)
    finally:
        everybody.discard(send)


def main() -> None:
    terms = read_terms()
    uvicorn.run(
        application,
        host=HOST,
        port=terms.port,
        backlog=BACKLOG,
        loop="uvloop" if terms.uvloop else "asyncio",
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE,
        ws_ping_interval=None,
        ws_per_message_deflate=terms.deflate,
        ssl_certfile=terms.certificate,
        lifespan="off",
        log_level="critical",
        access_log=False,
    )


if __name__ == "__main__":
    main()
