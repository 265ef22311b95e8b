"""websockets on asyncio, with its own broadcast."""

from __future__ import annotations

import asyncio

from websockets.asyncio.server import ServerConnection, broadcast, serve

from benchmarks.servers.terms import BACKLOG, HOST, MAX_MESSAGE, Terms, read_terms

everybody: set[ServerConnection] = set()


async def handle(connection: ServerConnection) -> None:
    assert connection.request is not None
    if connection.request.path in ("/echo", "/waiting"):
        async for message in connection:
            if connection.request.path == "/waiting":
                await asyncio.sleep(0)
            await connection.send(message)
        return
    everybody.add(connection)
    try:
        async for message in connection:
            broadcast(everybody, message)
    finally:
        everybody.remove(connection)


async def main(terms: Terms) -> None:
    async with serve(
        handle,
        HOST,
        terms.port,
        ssl=terms.ssl_context(),
        backlog=BACKLOG,
        compression="deflate" if terms.deflate else None,
        max_size=MAX_MESSAGE,
        ping_interval=None,
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asked = read_terms()
    asked.run_asyncio(main(asked))
