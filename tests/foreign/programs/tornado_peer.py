"""Tornado, as client and as server."""

import asyncio
import sys

from tornado.httpclient import HTTPClientError
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketClientConnection, WebSocketHandler, websocket_connect

DEFLATE = {"compression_level": 6, "mem_level": 8}


def answer(message: str | bytes) -> str | bytes:
    return "cannot" if message == "!fragments" else message


class Echo(WebSocketHandler):
    def check_origin(self, origin: str) -> bool:
        return True

    def get_compression_options(self) -> dict[str, int]:
        return DEFLATE

    def on_message(self, message: str | bytes) -> None:
        if isinstance(message, str) and message.startswith("!close"):
            _, code, reason = message.split(" ", 2)
            self.close(int(code), reason)
        elif message == "!ping":
            self.ping(b"there?")
        else:
            self.write_message(answer(message), binary=isinstance(message, bytes))

    def on_pong(self, data: bytes) -> None:
        self.write_message(b"pong " + data)

    def on_close(self) -> None:
        print("closed", self.close_code, self.close_reason or "", flush=True)


class Refusal(RequestHandler):
    def get(self) -> None:
        self.set_status(403)
        self.write("no\n")


async def serve() -> None:
    application = Application([("/echo", Echo), ("/.*", Refusal)])
    server = application.listen(0, "127.0.0.1")
    (listening,) = server._sockets.values()
    print("listening", listening.getsockname()[1], flush=True)
    await asyncio.Event().wait()


async def talk(url: str) -> str:
    try:
        connection: WebSocketClientConnection = await websocket_connect(url, compression_options=DEFLATE)
    except HTTPClientError as error:
        return f"refused {error.code}"
    connection.on_pong = lambda payload: connection.write_message(b"pong " + payload)
    while (message := await connection.read_message()) is not None:
        if isinstance(message, str) and message.startswith("!close"):
            _, code, reason = message.split(" ", 2)
            connection.close(int(code), reason)
        elif message == "!ping":
            connection.ping(b"there?")
        else:
            await connection.write_message(answer(message), binary=isinstance(message, bytes))
    return f"closed {connection.close_code} {connection.close_reason or ''}"


async def main() -> None:
    if sys.argv[1] == "server":
        await serve()
    for url in sys.argv[2:]:
        print(await talk(url), flush=True)


asyncio.run(main())
