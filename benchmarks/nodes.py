"""``python -m benchmarks.nodes [NODES ...]``: the cost of messages between servers.

Each node is a server process with some clients that are subscribed to one topic. A client of the first node sends a
message, its server publishes it, and the clients of all nodes get it. Latency: one message each 5 ms, from sending to
the arrival at clients of the other nodes. Throughput: with 64 messages under way. All runs on this machine: the
engine, the nodes and the clients share its CPUs, so plan from the CPU time.
"""

from __future__ import annotations

import argparse
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks.serving import cpu_seconds
from tests.backplane.postgres_server import postgres_server
from tests.backplane.redis_server import redis_server

ENGINES = ("glide", "coredis", "postgresql")
FEW, MANY = 4, 50
"""Receivers at each node, for latency and for throughput: reading from many of them takes its time."""
SIZE = 62
FRAME = SIZE + 2
EVERY, UNDER_WAY = 0.005, 64
SECONDS = 3.0

PROGRAM = """
import sys
import wsframe
from benchmarks.backplanes import made


class Room(wsframe.Resource):
    scope = "shared"

    async def client_connected(self, client):
        self.subscribe(client, "room")

    async def received_binary(self, client, message):
        self.publish_binary("room", message)


wsframe.register_global_resource("/", Room(), wsframe.any_origin)
wsframe.run(
    port=0, backplane=made(sys.argv[1], sys.argv[2]), log_level="warning",
    started=lambda server: print(server.addresses[0], flush=True),
)
"""


class Measured(NamedTuple):
    """The figures of one run."""

    p50: float
    p99: float
    published: float
    """Messages a second."""
    delivered: float
    first: float
    """Microseconds of CPU of the publishing node for each message."""
    other: float
    """The same of another node, its deliveries included."""
    engine: float


def opened(address: str) -> socket.socket:
    """Open a WebSocket connection."""
    place = urlsplit(address)
    sock = socket.create_connection((place.hostname, place.port), timeout=60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(
        f"GET / HTTP/1.1\r\nHost: {place.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    assert head.startswith(b"HTTP/1.1 101"), head
    sock.setblocking(False)
    return sock


def frame() -> bytes:
    """Make a message: the time, masked with zeros."""
    payload = struct.pack("<Q", time.monotonic_ns()).ljust(SIZE, b".")
    return bytes((0x82, 0x80 | SIZE)) + bytes(4) + payload


class Load:
    """The clients of all nodes: the first of the first node sends."""

    def __init__(self, addresses: list[str], clients: int) -> None:
        self._clients = clients
        self._nodes = [[opened(address) for _ in range(clients)] for address in addresses]
        self._sender = self._nodes[0][0]
        self._poller = select.epoll()
        self._sockets: dict[int, tuple[int, socket.socket]] = {}
        self._rest: dict[int, bytes] = {}
        for number, of_node in enumerate(self._nodes):
            for sock in of_node:
                self._sockets[sock.fileno()] = number, sock
                self._rest[sock.fileno()] = b""
                self._poller.register(sock, select.EPOLLIN)
        self.received = [0] * len(addresses)
        self.latencies: list[float] = []

    def send(self) -> None:
        """Send one message."""
        self._sender.sendall(frame())

    def read(self, seconds: float) -> None:
        """Wait, and read all that has come."""
        for fd, _ in self._poller.poll(seconds):
            number, sock = self._sockets[fd]
            data = self._rest[fd] + sock.recv(1 << 18)
            whole = len(data) // FRAME
            self.received[number] += whole
            if whole and (number or len(self._nodes) == 1):
                self.latencies.append((time.monotonic_ns() - struct.unpack_from("<Q", data, 2)[0]) / 1_000)
            self._rest[fd] = data[whole * FRAME :]

    def drain(self) -> None:
        """Read until nothing comes any more."""
        before = -1
        while before != sum(self.received):
            before = sum(self.received)
            end = time.monotonic() + 0.3
            while time.monotonic() < end:
                self.read(0.05)

    def until_linked(self) -> None:
        """Send until the clients of all nodes receive: topics take a moment to be known."""
        while not all(self.received):
            self.send()
            end = time.monotonic() + 0.1
            while time.monotonic() < end:
                self.read(0.01)
        self.drain()

    def one_by_one(self) -> tuple[float, float]:
        """Send one message at a time; return the median and the 99th percentile of their times."""
        self.latencies.clear()
        next_at = end = time.monotonic()
        end += SECONDS
        while (now := time.monotonic()) < end:
            if now >= next_at:
                self.send()
                next_at += EVERY
            self.read(max(0.0, min(next_at - time.monotonic(), EVERY)))
        self.drain()
        found = sorted(self.latencies)
        return found[len(found) // 2], found[len(found) * 99 // 100]

    def many(self) -> tuple[int, float]:
        """Keep messages under way; return how many there were, and in how many seconds."""
        self.received = [0] * len(self._nodes)
        sent, began = 0, time.monotonic()
        while time.monotonic() < began + SECONDS:
            while sent - min(self.received) // self._clients < UNDER_WAY:
                self.send()
                sent += 1
            self.read(0.1)
        took = time.monotonic() - began
        self.drain()
        return sent, took

    def close(self) -> None:
        """Close all."""
        self._poller.close()
        for _, sock in self._sockets.values():
            sock.close()


@contextmanager
def local_server_of(name: str) -> Iterator[tuple[str, int]]:
    """Run an engine; yield its URL and its process."""
    with ExitStack() as stack:
        if name == "postgresql":
            postgres = stack.enter_context(postgres_server())
            yield postgres.url, postgres.pid
        else:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            redis = stack.enter_context(redis_server(folder))
            yield redis.url, redis.pid


def with_children(pid: int) -> list[int]:
    """Return a process and its children."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def measure(name: str, count: int) -> Measured:
    """Run so many nodes, and measure."""
    with ExitStack() as stack:
        url, engine = stack.enter_context(local_server_of(name))
        nodes = [
            stack.enter_context(
                subprocess.Popen([sys.executable, "-c", PROGRAM, name, url], stdout=subprocess.PIPE, text=True)
            )
            for _ in range(count)
        ]
        for node in nodes:
            stack.callback(node.kill)
        addresses = [node.stdout.readline().strip() for node in nodes if node.stdout is not None]
        load = Load(addresses, FEW)
        load.until_linked()
        p50, p99 = load.one_by_one()
        load.close()
        load = Load(addresses, MANY)
        stack.callback(load.close)
        load.until_linked()
        groups = [[nodes[0].pid], [node.pid for node in nodes[1:]], with_children(engine)]
        before = [cpu_seconds(group) for group in groups]
        sent, took = load.many()
        first, others, server = (
            (cpu_seconds(group) - earlier) * 1e6 / sent for group, earlier in zip(groups, before, strict=True)
        )
        delivered = sum(load.received) / took
        return Measured(p50, p99, sent / took, delivered, first, others / max(1, count - 1), server)


def main() -> None:
    """Measure each engine with so many nodes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nodes", description=__doc__)
    parser.add_argument("nodes", nargs="*", type=int, default=[], metavar="NODES", help="default: 1 2 4")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="repeatable; default: all")
    parsed = parser.parse_args()
    print(f"{MANY} clients at each node          to other nodes         CPU us for each message")
    print("Engine      nodes  messages/s  deliveries/s  p50 us  p99 us  publisher  receiver  engine")
    for name in parsed.engine or ENGINES:
        for count in parsed.nodes or (1, 2, 4):
            one = measure(name, count)
            print(
                f"{name:12}{count:5}{one.published:12.0f}{one.delivered:14.0f}{one.p50:8.0f}{one.p99:8.0f}"
                f"{one.first:11.1f}{one.other:10.1f}{one.engine:8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
