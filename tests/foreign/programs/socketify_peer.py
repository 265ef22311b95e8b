"""The server of socketify, which is µWebSockets in Python."""

import socket
from typing import Any

from socketify import App, CompressOptions, OpCode


def message(socket: Any, data: str | bytes, opcode: OpCode) -> None:
    if isinstance(data, str) and data.startswith("!close"):
        _, code, reason = data.split(" ", 2)
        socket.end(int(code), reason)
    elif data == "!ping":
        socket.send("there?", OpCode.PING)
    elif data == "!fragments":
        socket.send("cannot", OpCode.TEXT)
    else:
        socket.send(data, opcode, True)


def pong(socket: Any, data: str | bytes) -> None:
    text = data.decode() if isinstance(data, bytes) else data
    socket.send(f"pong {text}", OpCode.TEXT)


def close(socket: Any, code: int, reason: str | bytes | None) -> None:
    text = reason.decode() if isinstance(reason, bytes) else reason or ""
    print("closed", code, text, flush=True)


def refuse(response: Any, request: Any) -> None:
    response.write_status(403).end("no\n")


# It cannot tell which port it was given, so it is given one that was free a moment ago.
with socket.create_server(("127.0.0.1", 0)) as probe:
    port = probe.getsockname()[1]
application = App()
options = {
    "compression": CompressOptions.DEDICATED_COMPRESSOR,
    "max_payload_length": 2**24,
    "max_backpressure": 2**24,
    "idle_timeout": 60,
}
application.ws("/echo", {**options, "message": message, "pong": pong, "close": close})
application.get("/*", refuse)
application.listen({"port": port, "host": "127.0.0.1"}, lambda _: print("listening", port, flush=True))
application.run()
