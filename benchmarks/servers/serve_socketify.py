"""socketify, which is uWebSockets in C++, with its own publish and subscribe."""

from __future__ import annotations

from socketify import App, AppListenOptions, AppOptions, CompressOptions, OpCode, WebSocket

from benchmarks.servers.terms import HOST, MAX_MESSAGE, read_terms

OPTIONS = {"max_payload_length": MAX_MESSAGE, "max_backpressure": 4 * MAX_MESSAGE, "idle_timeout": 0, "compression": 0}


def subscribe(socket: WebSocket) -> None:
    socket.subscribe("everybody")


def main() -> None:
    terms = read_terms()
    options = None
    if terms.certificate is not None:
        options = AppOptions(key_file_name=terms.certificate, cert_file_name=terms.certificate)
    app = App(options)

    def echo(socket: WebSocket, message: str | bytes, opcode: OpCode) -> None:
        socket.send(message, opcode, terms.deflate)

    def broadcast(socket: WebSocket, message: str | bytes, opcode: OpCode) -> None:
        app.publish("everybody", message, opcode, terms.deflate)

    compression = {"compression": CompressOptions.SHARED_COMPRESSOR} if terms.deflate else {}
    app.ws("/echo", {**OPTIONS, **compression, "message": echo})
    app.ws("/broadcast", {**OPTIONS, **compression, "open": subscribe, "message": broadcast})
    app.listen(AppListenOptions(port=terms.port, host=HOST), lambda listening: None)
    app.run()


if __name__ == "__main__":
    main()
