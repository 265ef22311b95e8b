"""Measure the cost of keepalive: the server's CPU time for clients that only answer its pings.

``python benchmarks/idle_clients.py [CLIENTS] [SECONDS]`` pings each client once a second
instead of every 20, and prints the cost of one ping with its pong, and the cost per second of
an idle client at the default interval. The clients run in their own process.
"""

from __future__ import annotations

import resource
import selectors
import socket
import sys
import time

import trio

import wsframe

DEFAULT_INTERVAL = 20
HEAD = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Idle(wsframe.Resource):
    """Sends no messages."""


def answer_pings(port: int, clients: int) -> None:
    """Connect and answer pings until the server closes."""
    selector = selectors.DefaultSelector()
    for _ in range(clients):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(HEAD)
        assert sock.recv(1000).startswith(b"HTTP/1.1 101")
        selector.register(sock, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            assert isinstance(key.fileobj, socket.socket)
            data = key.fileobj.recv(4096)
            if not data or data[0] == 0x88:
                return
            # A masking key of zeros leaves the payload as it is.
            key.fileobj.sendall(bytes((0x8A, 0x80 | data[1])) + bytes(4) + data[2 : 2 + data[1]])


async def measure(clients: int, seconds: float) -> None:
    """Serve and print the cost."""
    options = wsframe.ServeOptions(
        port=0, capacity=wsframe.Capacity(max_clients=clients), timeouts=wsframe.Timeouts(ping_interval=1)
    )
    async with wsframe.open_server(options=options) as server:
        port = server.addresses[0].rpartition(":")[2]
        peers = await trio.lowlevel.open_process([sys.executable, __file__, "answer", port, str(clients)])
        await trio.sleep(clients / 500 + 2)
        assert server.clients == clients, "the machine is too slow for so many clients"
        cpu, begun = time.process_time(), time.monotonic()
        await trio.sleep(seconds)
        cpu, elapsed = time.process_time() - cpu, time.monotonic() - begun
    await peers.wait()
    once = cpu / elapsed / clients
    print(f"{clients} clients: {once * 1e6:.1f} us of CPU a ping and pong, "
          f"{once / DEFAULT_INTERVAL * 1e6:.2f} us per client and second at the default interval")  # fmt: skip


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if sys.argv[1:2] == ["answer"]:
        answer_pings(int(sys.argv[2]), int(sys.argv[3]))
    else:
        wsframe.register_global_resource("/", Idle())
        trio.run(
            measure, int(sys.argv[1]) if len(sys.argv) > 1 else 1000, float(sys.argv[2]) if len(sys.argv) > 2 else 10
        )
