"""aiohttp, as client and as server."""

import asyncio
import sys

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError, web

LARGEST = 2**24


async def converse(socket: web.WebSocketResponse | ClientWebSocketResponse) -> str:
    while True:
        message = await socket.receive()
        if message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
        elif message.type is WSMsgType.PING:
            await socket.pong(message.data)
        elif message.type is WSMsgType.PONG:
            await socket.send_str(f"pong {message.data.decode()}")
        elif message.type is WSMsgType.CLOSE:
            await socket.close()
            return f"closed {message.data} {message.extra or ''}"
        elif message.type is not WSMsgType.TEXT:
            return f"closed {socket.close_code} {message.data or ''}"
        elif message.data.startswith("!close"):
            _, code, reason = message.data.split(" ", 2)
            await socket.close(code=int(code), message=reason.encode())
            return f"closed {socket.close_code} "
        elif message.data == "!ping":
            await socket.ping(b"there?")
        else:
            await socket.send_str("cannot" if message.data == "!fragments" else message.data)


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(max_msg_size=LARGEST, autoping=False, autoclose=False)
    await socket.prepare(request)
    print(await converse(socket), flush=True)
    return socket


async def refuse(request: web.Request) -> web.Response:
    return web.Response(status=403, text="no\n")


async def serve() -> None:
    application = web.Application()
    application.add_routes([web.get("/echo", echo), web.get("/{path:.*}", refuse)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print("listening", runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


async def talk(session: ClientSession, url: str) -> str:
    try:
        async with session.ws_connect(
            url, compress=15, max_msg_size=LARGEST, autoping=False, autoclose=False
        ) as socket:
            return await converse(socket)
    except WSServerHandshakeError as error:
        return f"refused {error.status}"


async def main() -> None:
    if sys.argv[1] == "server":
        await serve()
    async with ClientSession() as session:
        for url in sys.argv[2:]:
            print(await talk(session, url), flush=True)


asyncio.run(main())
