"""PyPI's websocket-client, a client."""

import sys

from websocket import ABNF, WebSocket, WebSocketBadStatusException


def talk(url: str) -> str:
    socket = WebSocket()
    try:
        socket.connect(url, http_no_proxy=["*"])
    except WebSocketBadStatusException as error:
        return f"refused {error.status_code}"
    while True:
        opcode, data = socket.recv_data(control_frame=True)
        if opcode == ABNF.OPCODE_CLOSE:
            return f"closed {int.from_bytes(data[:2], 'big')} {data[2:].decode()}"
        if opcode == ABNF.OPCODE_PONG:
            socket.send(f"pong {data.decode()}")
        elif opcode == ABNF.OPCODE_PING:
            pass  # it has answered by itself
        elif data.startswith(b"!close") and opcode == ABNF.OPCODE_TEXT:
            _, code, reason = data.split(b" ", 2)
            socket.close(int(code), reason)
            return f"closed {code.decode()}"
        elif data == b"!ping":
            socket.ping("there?")
        elif data == b"!fragments":
            for opcode, part, final in ((ABNF.OPCODE_TEXT, "in ", 0), (0, "three ", 0), (0, "parts", 1)):
                socket.send_frame(ABNF.create_frame(part, opcode, final))
        else:
            socket.send(data, opcode)


for url in sys.argv[2:]:
    print(talk(url), flush=True)
