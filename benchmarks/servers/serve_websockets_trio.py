"""websockets on trio, with its own broadcast."""

from __future__ import annotations

from functools import partial

import trio
from websockets.trio.server import ServerConnection, broadcast, serve

from benchmarks.servers.terms import BACKLOG, HOST, MAX_MESSAGE, read_terms

everybody: set[ServerConnection] = set()


async def handle(connection: ServerConnection) -> None:
    assert connection.request is not None
    if connection.request.path == "/echo":
        async for message in connection:
            await connection.send(message)
        return
    everybody.add(connection)
    try:
        async for message in connection:
            await broadcast(everybody, message)
    finally:
        everybody.remove(connection)


def main() -> None:
    terms = read_terms()
    start = partial(
        serve,
        handle,
        terms.port,
        host=HOST,
        ssl=terms.ssl_context(),
        backlog=BACKLOG,
        compression="deflate" if terms.deflate else None,
        max_size=MAX_MESSAGE,
        ping_interval=None,
    )
    trio.run(start)


if __name__ == "__main__":
    main()
