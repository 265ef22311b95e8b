"""picows, as client and as server."""

import asyncio
import sys

from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSHandshakeError,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_connect,
    ws_create_server,
)


class Conversation(WSListener):
    def __init__(self) -> None:
        self.parts = b""
        self.kind = WSMsgType.TEXT
        self.end = ""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type is WSMsgType.PONG:
            transport.send(WSMsgType.TEXT, b"pong " + frame.get_payload_as_bytes())
        elif frame.msg_type is WSMsgType.CLOSE:
            reason = frame.get_close_message() or b""
            self.end = f"closed {int(frame.get_close_code())} {reason.decode()}"
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            if frame.msg_type is not WSMsgType.CONTINUATION:
                self.kind = frame.msg_type
            self.parts += frame.get_payload_as_bytes()
            if frame.fin:
                whole, self.parts = self.parts, b""
                self.answer(transport, whole)

    def answer(self, transport: WSTransport, message: bytes) -> None:
        if self.kind is WSMsgType.TEXT and message.startswith(b"!close"):
            _, code, reason = message.split(b" ", 2)
            transport.send_close(WSCloseCode(int(code)) if int(code) < 3000 else int(code), reason)
        elif message == b"!ping":
            transport.send_ping(b"there?")
        elif message == b"!fragments":
            transport.send(WSMsgType.TEXT, b"in ", fin=False)
            transport.send(WSMsgType.CONTINUATION, b"three ", fin=False)
            transport.send(WSMsgType.CONTINUATION, b"parts")
        else:
            transport.send(self.kind, message)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if sys.argv[1] == "server":
            print(self.end or "closed", flush=True)


def listener(request: WSUpgradeRequest) -> Conversation | None:
    return Conversation() if request.path == b"/echo" else None


async def talk(url: str) -> str:
    try:
        transport, conversation = await ws_connect(Conversation, url, max_frame_size=2**24)
    except WSHandshakeError as error:
        return f"refused {error.response.status.value}" if error.response else f"error {error}"
    except WSError as error:
        return f"error {error}"
    await transport.wait_disconnected()
    return str(conversation.end)


async def main() -> None:
    if sys.argv[1] == "server":
        server = await ws_create_server(listener, "127.0.0.1", 0, max_frame_size=2**24)
        print("listening", server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()
    for url in sys.argv[2:]:
        print(await talk(url), flush=True)


asyncio.run(main())
