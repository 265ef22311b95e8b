"""picows, with callbacks, as its authors measure it; it has no broadcast."""

from __future__ import annotations

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from benchmarks.servers.terms import BACKLOG, HOST, MAX_MESSAGE, Terms, read_terms

everybody: set[WSTransport] = set()
MESSAGES = (WSMsgType.TEXT, WSMsgType.BINARY)


class Echo(WSListener):
    def __init__(self) -> None:
        self.kind = WSMsgType.TEXT
        self.parts: list[bytes] = []

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type in MESSAGES and frame.fin:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview())
        elif frame.msg_type in MESSAGES or frame.msg_type is WSMsgType.CONTINUATION:
            self.take_part(transport, frame)
        elif frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()

    def take_part(self, transport: WSTransport, frame: WSFrame) -> None:
        """Put a message in fragments together, which picows leaves to its user."""
        if frame.msg_type in MESSAGES:
            self.kind = frame.msg_type
        self.parts.append(frame.get_payload_as_bytes())
        if frame.fin:
            transport.send(self.kind, b"".join(self.parts))
            self.parts.clear()


class Everybody(Echo):
    def on_ws_connected(self, transport: WSTransport) -> None:
        everybody.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        everybody.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type in MESSAGES:
            message = frame.get_payload_as_bytes()
            for other in everybody:
                other.send(frame.msg_type, message)
        else:
            super().on_ws_frame(transport, frame)


def listener(request: WSUpgradeRequest) -> WSListener:
    return Everybody() if request.path == b"/broadcast" else Echo()


async def main(terms: Terms) -> None:
    # Its limit is for frames, headers included.
    server = await ws_create_server(
        listener,
        HOST,
        terms.port,
        ssl=terms.ssl_context(),
        backlog=BACKLOG,
        max_frame_size=MAX_MESSAGE + 64,
    )
    await server.serve_forever()


if __name__ == "__main__":
    asked = read_terms()
    asked.run_asyncio(main(asked))
