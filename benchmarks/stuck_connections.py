"""Measure the memory of connections that do not get on: ``python -m benchmarks.stuck_connections [CONNECTIONS]``.

For each way to get stuck, a server in its own process gets many such connections. Printed is by how much its
memory has grown, in KiB for each connection. Memory of the kernel is not in it. Linux only.
"""

from __future__ import annotations

import logging
import resource
import ssl
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from socket import create_connection, socket
from tempfile import TemporaryDirectory
from typing import NamedTuple

import trio
import trustme

import wsframe
from wsframe.testing.frames import BINARY, TEXT, masked

COMPRESSION = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
HALF = 64 * 1024
END = b"\r\n\r\n"
SHORT = 1000
"""Bytes that an echo has at least."""


def head(path: str = "/", more: str = "") -> bytes:
    """Make the request of an opening handshake."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    ).encode()


def packed(text: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]


class Kind(NamedTuple):
    """A way to get stuck."""

    sent: bytes
    """The bytes that the peer sends, before it does nothing more."""
    answered: bool = True
    """Whether a 101 comes first."""
    tls: bool = False
    handshake: bool = True
    """Whether the peer does its part of the TLS handshake."""
    deflate: str = ""
    """The mode of compression; messages of the peer are echoed then."""


FIELDS = "".join(f"X-{number}: {'x' * 1000}\r\n" for number in range(15))
LARGE_FRAME = masked(BINARY, bytes(1 << 20))
KINDS = {
    "TCP open, nothing sent": Kind(b"", answered=False),
    "15 KiB of a head": Kind(head(more=FIELDS)[: 15 * 1024], answered=False),
    "in accept_client": Kind(head("/waiting"), answered=False),
    "idle client": Kind(head()),
    "half a message, 64 KiB": Kind(head() + LARGE_FRAME[:HALF]),
    "half a text, 64 KiB in fragments": Kind(
        head() + masked(TEXT, b"x" * (HALF // 16), fin=False) + masked(0, b"x" * (HALF // 16), fin=False) * 15
    ),
    "TLS, nothing sent": Kind(b"", answered=False, tls=True, handshake=False),
    "TLS, idle client": Kind(head(), tls=True),
    "Deflate.shared(), one message": Kind(
        head(more=COMPRESSION) + masked(TEXT, packed(Random(1).randbytes(3000).hex().encode()), rsv1=True),
        deflate="shared",
    ),
    "Deflate.dedicated(), one message": Kind(
        head(more=COMPRESSION) + masked(TEXT, packed(Random(1).randbytes(3000).hex().encode()), rsv1=True),
        deflate="dedicated",
    ),
}
SMALL = ("TCP open, nothing sent", "15 KiB of a head", "in accept_client", "idle client")
"""Those that are measured with all connections; with the others a third is enough."""


class Waiting(wsframe.Resource):
    """Never decides."""

    async def accept_client(self, request: wsframe.Request) -> None:
        await trio.sleep_forever()


class Echo(wsframe.Resource):
    """Sends back."""

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        client.send_text(message)


def serve(connections: int, kind: Kind, folder: Path) -> None:
    """Serve until stopped."""
    logging.getLogger("wsframe").setLevel("ERROR")
    wsframe.register_global_resource("/", Echo())
    wsframe.register_global_resource("/waiting", Waiting())
    context = None
    if kind.tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(folder / "certificate.pem")
    wsframe.run(
        port=0,
        ssl_context=context,
        capacity=wsframe.Capacity(max_clients=None, max_pending_handshakes=2 * connections + 100),
        timeouts=wsframe.Timeouts(handshake=600, ping_interval=None),
        deflate={"": None, "shared": wsframe.Deflate.shared(), "dedicated": wsframe.Deflate.dedicated()}[kind.deflate],
        started=lambda server: print(server.addresses[0].rpartition(":")[2], flush=True),
    )


@contextmanager
def serving(name: str, connections: int, folder: Path) -> Iterator[tuple[int, int]]:
    """Run the server in its own process; yield the port and the process's number."""
    command = [sys.executable, "-m", __spec__.name, "serve", name, str(connections), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process.pid
        finally:
            process.kill()


def stuck(kind: Kind, port: int, context: ssl.SSLContext) -> socket:
    """Make one connection that does not get on."""
    sock = create_connection(("127.0.0.1", port))
    if kind.tls and kind.handshake:
        sock = context.wrap_socket(sock, server_hostname="localhost")
    sock.sendall(kind.sent)
    if kind.answered:
        answer = b""
        while not answer.partition(END)[1] or (kind.deflate and len(answer.partition(END)[2]) < SHORT):
            answer += sock.recv(4096)
        assert answer.startswith(b"HTTP/1.1 101"), answer
    return sock


def resident(pid: int) -> int:
    """Return the memory of a process in KiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * (resource.getpagesize() // 1024)


def settled(pid: int) -> int:
    """Return the memory of a process once it has nothing to do."""

    def used() -> int:
        return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))

    before = -1
    while before != used():
        before = used()
        time.sleep(0.5)
    return resident(pid)


def measure(name: str, connections: int, folder: Path) -> float:
    """Return the KiB that a connection of one kind takes."""
    kind = KINDS[name]
    context = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    with serving(name, connections, folder) as (port, pid):
        kept = [stuck(kind, port, context) for _ in range(20)]  # includes the one-time costs of the process
        before = settled(pid)
        kept += [stuck(kind, port, context) for _ in range(connections)]
        grown = settled(pid) - before
        for sock in kept:
            sock.close()
    return grown / connections


def main(connections: int) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with TemporaryDirectory() as place:
        folder, authority = Path(place), trustme.CA()
        authority.cert_pem.write_to_path(folder / "authority.pem")
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "certificate.pem")
        for name in KINDS:
            kib = measure(name, connections if name in SMALL else connections // 3, folder)
            print(f"{name:40}{kib:7.1f} KiB for each connection", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[3]), KINDS[sys.argv[2]], Path(sys.argv[4]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3000)
