"""autobahn-python on asyncio, as client and as server."""
# ruff: noqa: N802, N803 the names are its own

import asyncio
import re
import sys
from typing import Any

from autobahn.asyncio.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.websocket.compress import (
    PerMessageDeflateOffer,
    PerMessageDeflateOfferAccept,
    PerMessageDeflateResponse,
    PerMessageDeflateResponseAccept,
)
from autobahn.websocket.types import ConnectionDeny


class Conversation:
    def onMessage(self: Any, payload: bytes, isBinary: bool) -> None:
        if not isBinary and payload.startswith(b"!close"):
            _, code, reason = payload.decode().split(" ", 2)
            self.sendClose(int(code), reason)
        elif payload == b"!ping":
            self.sendPing(b"there?")
        elif payload == b"!fragments":
            self.sendMessage(b"in three parts", fragmentSize=5)
        else:
            self.sendMessage(payload, isBinary)

    def onPong(self: Any, payload: bytes) -> None:
        self.sendMessage(b"pong " + payload)


class Server(Conversation, WebSocketServerProtocol):
    def onConnect(self, request: Any) -> None:
        if request.path != "/echo":
            raise ConnectionDeny(403, "no")

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        print("closed", code, reason or "", flush=True)


class Client(Conversation, WebSocketClientProtocol):
    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        status = re.search(r"upgrade failed \[(\d+)\]", reason or "")
        line = f"refused {status[1]}" if status else f"closed {code} {reason or ''}"
        self.factory.end.set_result(line)


async def serve() -> None:
    factory = WebSocketServerFactory()
    factory.protocol = Server
    factory.setProtocolOptions(
        perMessageCompressionAccept=lambda offers: next(
            (PerMessageDeflateOfferAccept(offer) for offer in offers if isinstance(offer, PerMessageDeflateOffer)), None
        )
    )
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def talk(url: str) -> str:
    factory = WebSocketClientFactory(url)
    factory.protocol = Client
    factory.end = asyncio.get_running_loop().create_future()
    factory.setProtocolOptions(
        perMessageCompressionOffers=[PerMessageDeflateOffer()],
        perMessageCompressionAccept=lambda response: (
            PerMessageDeflateResponseAccept(response) if isinstance(response, PerMessageDeflateResponse) else None
        ),
    )
    await asyncio.get_running_loop().create_connection(factory, factory.host, factory.port)
    return str(await factory.end)


async def main() -> None:
    if sys.argv[1] == "server":
        await serve()
    for url in sys.argv[2:]:
        print(await talk(url), flush=True)


asyncio.run(main())
