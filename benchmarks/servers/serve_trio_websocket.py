"""trio-websocket; it has no broadcast, so the program sends to each connection in turn."""

from __future__ import annotations

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from benchmarks.servers.terms import HOST, MAX_MESSAGE, read_terms

everybody: set[WebSocketConnection] = set()


async def send(connection: WebSocketConnection, message: str | bytes) -> None:
    try:
        await connection.send_message(message)
    except ConnectionClosed:
        everybody.discard(connection)


async def handle(request: WebSocketRequest) -> None:
    connection = await request.accept()
    if request.path == "/broadcast":
        everybody.add(connection)
    try:
        while True:
            message = await connection.get_message()
            for other in list(everybody) or [connection]:
                await send(other, message)
    except ConnectionClosed:
        pass
    finally:
        everybody.discard(connection)


async def main() -> None:
    terms = read_terms()
    await serve_websocket(handle, HOST, terms.port, terms.ssl_context(), max_message_size=MAX_MESSAGE)


if __name__ == "__main__":
    trio.run(main)
