"""aiohttp; it has no broadcast, so the program sends to each connection in turn."""

from __future__ import annotations

import asyncio

from aiohttp import WSMessage, WSMsgType, web

from benchmarks.servers.terms import BACKLOG, HOST, MAX_MESSAGE, Terms, read_terms

COMPRESSES = web.AppKey("compresses", bool)
everybody: set[web.WebSocketResponse] = set()


async def send(socket: web.WebSocketResponse, message: WSMessage) -> None:
    if message.type is WSMsgType.TEXT:
        await socket.send_str(message.data)
    else:
        await socket.send_bytes(message.data)


async def accept(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=request.app[COMPRESSES], max_msg_size=MAX_MESSAGE)
    await socket.prepare(request)
    return socket


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = await accept(request)
    async for message in socket:
        await send(socket, message)
    return socket


async def waiting(request: web.Request) -> web.WebSocketResponse:
    socket = await accept(request)
    async for message in socket:
        await asyncio.sleep(0)
        await send(socket, message)
    return socket


async def broadcast(request: web.Request) -> web.WebSocketResponse:
    socket = await accept(request)
    everybody.add(socket)
    try:
        async for message in socket:
            for other in list(everybody):
                await send(other, message)
    finally:
        everybody.remove(socket)
    return socket


async def main(terms: Terms) -> None:
    application = web.Application()
    application[COMPRESSES] = terms.deflate
    application.add_routes([web.get("/echo", echo), web.get("/broadcast", broadcast), web.get("/waiting", waiting)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, terms.port, ssl_context=terms.ssl_context(), backlog=BACKLOG).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asked = read_terms()
    asked.run_asyncio(main(asked))
