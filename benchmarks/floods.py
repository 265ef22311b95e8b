"""Measure the cost of floods to an honest client: ``python -m benchmarks.floods [SECONDS] [CONNECTIONS] [WORDS]``.

Ten connections send as fast as they can, one kind of flood after the other, and an honest client echoes a
message every 5 ms. Printed are its delays, and the share of a CPU that the server had: on a machine that is
busy with something else, delays grow as the share falls. ``WORDS`` choose the floods with these in their names.
"""

from __future__ import annotations

import logging
import multiprocessing
import select
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from socket import IPPROTO_TCP, SO_RCVBUF, SOL_SOCKET, TCP_NODELAY, create_connection, socket
from typing import NamedTuple

import wsframe
from benchmarks.serving import cpu_seconds
from wsframe.testing.frames import BINARY, PING, PONG, TEXT, masked

COMPRESSION = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
GAP = 0.005


def packed(payload: bytes) -> bytes:
    compressor = zlib.compressobj(9, wbits=-15)
    return compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]


def repeated(data: bytes) -> bytes:
    return data * max(1, (1 << 18) // len(data))


class Flood(NamedTuple):
    """The bytes that each connection sends, again and again."""

    data: bytes
    path: str = "/sink"
    compressed: bool = False
    reads: bool = False
    returns: bool = False
    """Whether it connects again when the server has ended it."""


FLOODS = {
    "messages of 5 bytes": Flood(repeated(masked(TEXT, b"hello"))),
    "empty messages": Flood(repeated(masked(TEXT))),
    "messages of 64 KiB": Flood(repeated(masked(BINARY, bytes(1 << 16)))),
    "pings of 125 bytes, pongs read": Flood(repeated(masked(PING, bytes(125))), reads=True),
    "pings of 125 bytes, pongs not read": Flood(repeated(masked(PING, bytes(125)))),
    "empty pongs": Flood(repeated(masked(PONG))),
    "fragments of a byte": Flood(
        masked(BINARY, b"x", fin=False) + masked(0, b"y", fin=False) * 4000 + masked(0, b"", fin=True)
    ),
    "messages of two fragments": Flood(repeated(masked(TEXT, b"x", fin=False) + masked(0))),
    "characters split between fragments": Flood(
        repeated(masked(TEXT, b"\xf0\x9f", fin=False) + masked(0, b"\x98\x80"))
    ),
    "compressed messages of a byte": Flood(repeated(masked(TEXT, packed(b"a"), rsv1=True)), compressed=True),
    "compressed messages of two fragments": Flood(
        repeated(masked(TEXT, packed(b"a"), fin=False, rsv1=True) + masked(0)), compressed=True
    ),
    "1 MiB out of 1 KiB": Flood(repeated(masked(BINARY, packed(bytes(1 << 20)), rsv1=True)), compressed=True),
    "ends of compressed streams": Flood(
        masked(TEXT, b"\x03\x00" * 500_000, rsv1=True), compressed=True, reads=True, returns=True
    ),
    "messages beyond the limit": Flood(masked(BINARY, bytes(1 << 21)), reads=True, returns=True),
    "text that is not UTF-8": Flood(masked(TEXT, b"\xff"), reads=True, returns=True),
    "echoes of 1 MiB that are not read": Flood(masked(BINARY, bytes(1 << 20)), path="/echo", returns=True),
}


class Echo(wsframe.Resource):
    """Sends back."""

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        client.send_text(message)

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        client.send_binary(message)


class Sink(wsframe.Resource):
    """Takes all."""

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        pass

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        pass


def serve(put: Callable[[int], None]) -> None:
    """Serve until killed."""
    logging.getLogger("wsframe").setLevel("ERROR")
    wsframe.register_global_resource("/echo", Echo())
    wsframe.register_global_resource("/sink", Sink())
    wsframe.run(
        port=0,
        deflate=wsframe.Deflate.shared(),
        started=lambda server: put(int(server.addresses[0].rpartition(":")[2])),
    )


def connected(port: int, path: str, more: str = "", receive_buffer: int | None = None) -> socket:
    """Open a WebSocket."""
    sock = create_connection(("127.0.0.1", port), timeout=60)
    if receive_buffer is not None:
        sock.setsockopt(SOL_SOCKET, SO_RCVBUF, receive_buffer)
    sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += sock.recv(1)
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return sock


def attack(port: int, name: str, connections: int) -> None:
    """Flood until killed."""
    flood = FLOODS[name]
    more = COMPRESSION if flood.compressed else ""
    rest: dict[socket, memoryview] = {}

    def come() -> None:
        with suppress(OSError, AssertionError):
            sock = connected(port, flood.path, more, None if flood.reads else 4096)
            sock.setblocking(False)
            rest[sock] = memoryview(flood.data)

    for _ in range(connections):
        come()
    while True:
        if flood.returns and len(rest) < connections:
            come()
        readable, writable, _ = select.select(rest if flood.reads else (), rest, (), 0.1)
        for sock in {*readable, *writable}:
            try:
                if sock in writable:
                    rest[sock] = rest[sock][sock.send(rest[sock]) :] or memoryview(flood.data)
                if sock in readable and not sock.recv(1 << 16):
                    raise ConnectionResetError
            except BlockingIOError:
                pass
            except OSError:
                del rest[sock]
                sock.close()


def probe(port: int, seconds: float) -> list[float]:
    """Return the delays of an honest client's echoes in ms, sorted."""
    delays, until = [], time.monotonic() + seconds
    with connected(port, "/echo") as sock:
        while time.monotonic() < until:
            begun = time.perf_counter()
            sock.sendall(masked(TEXT, b"hello"))
            received = b""
            while len(received) < 7:
                received += sock.recv(7 - len(received))
            delays.append((time.perf_counter() - begun) * 1000)
            time.sleep(GAP)
    return sorted(delays)


def main(seconds: float, connections: int, words: list[str]) -> None:
    context = multiprocessing.get_context("spawn")
    ports: multiprocessing.SimpleQueue[int] = context.SimpleQueue()
    server = context.Process(target=serve, args=(ports.put,))
    server.start()
    port = ports.get()
    assert server.pid is not None
    print(f"{'flood':40} {'median':>7} {'p99':>7} {'longest':>8} ms   share of a CPU")
    for name in ["none", *FLOODS]:
        if words and not any(word in name for word in words):
            continue
        flood = context.Process(target=attack, args=(port, name, connections))
        if name != "none":
            flood.start()
            time.sleep(1)
        before = cpu_seconds([server.pid])
        delays = probe(port, seconds)
        share = (cpu_seconds([server.pid]) - before) / seconds
        if name != "none":
            flood.kill()
            flood.join()
        median, late = delays[len(delays) // 2], delays[len(delays) * 99 // 100]
        print(f"{name:40} {median:7.2f} {late:7.2f} {delays[-1]:8.2f}      {share:4.0%}", flush=True)
    server.kill()


if __name__ == "__main__":
    main(
        float(sys.argv[1]) if len(sys.argv) > 1 else 5.0,
        int(sys.argv[2]) if len(sys.argv) > 2 else 10,
        sys.argv[3:],
    )
