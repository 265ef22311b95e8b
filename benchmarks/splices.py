"""Measure the cost of a pump: of a connection that another machine has, and of TLS that another worker decrypts.

``python benchmarks/splices.py [ROUNDS] [MESSAGES] [CLIENTS]`` starts a Redis server and two servers of one service on
it, and a service of two workers with TLS. Clients echo messages of 64 bytes, each waiting for its answer: at the
owner of their resource, and at the other server or worker, which carries them. It prints, as the median of the rounds,
the CPU time of all server processes for an echo, and how long an echo takes (p50, p99). Needs ``redis-server``, glide
and trustme.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import trustme

from benchmarks.serving import cpu_seconds

SIZE = 64
GREETING = b"hello"
PROGRAM = """
import os
import sys
import wsframe


class Echo(wsframe.Resource):
    scope = "path"

    async def client_connected(self, client):
        client.send_text(f"hello {os.getpid()}")

    async def received_binary(self, client, message):
        client.send_binary(message)


wsframe.register_global_factory("/echo/{name}", lambda request: Echo(), wsframe.any_origin, scope="path")
if __name__ == "__main__":
    options = {"log_level": "warning", "port": 0, "started": lambda server: print(server.addresses[0], flush=True)}
    if sys.argv[1] == "workers":
        certificate = wsframe.Certificate(certfile="chain.pem", keyfile="key.pem")
        wsframe.run(workers=2, certificates=certificate, **options)
    else:
        wsframe.run(backplane=sys.argv[1], **options)
"""


class Client:
    """An echo client that blocks."""

    def __init__(self, address: tuple[str, int], path: str, context: ssl.SSLContext | None) -> None:
        sock = socket.create_connection(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock if context is None else context.wrap_socket(sock, server_hostname="127.0.0.1")
        lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"]
        key = "AAAAAAAAAAAAAAAAAAAAAA=="
        head = "\r\n".join([*lines, "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "", ""])
        self.sock.sendall(head.encode())
        received = b""
        while GREETING not in received or len(received.rpartition(GREETING)[2]) < 2:
            data = self.sock.recv(4096)
            if not data:
                raise SystemExit(f"refused: {received!r}")
            received += data
        self.owner = int(received.rpartition(GREETING)[2])
        """The process of its resource."""
        self.frame = bytes((0x82, 0x80 | SIZE)) + bytes(4) + bytes(SIZE)

    def echo(self) -> None:
        self.sock.sendall(self.frame)
        left = 2 + SIZE
        while left:
            left -= len(self.sock.recv(left)) or sys.exit("cut off")


def measure(pids: list[int], clients: list[Client], messages: int) -> tuple[float, float, float]:
    """Return microseconds: of CPU for an echo, and of an echo at p50 and p99."""
    times: list[float] = []
    before = cpu_seconds(pids)
    for _ in range(messages // len(clients)):
        for client in clients:
            begun = time.perf_counter()
            client.echo()
            times.append(time.perf_counter() - begun)
    spent = cpu_seconds(pids) - before
    times.sort()
    return spent / len(times) * 1e6, times[len(times) // 2] * 1e6, times[len(times) * 99 // 100] * 1e6


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[tuple[int, tuple[str, int]]]:
    """Start a server; yields its process and its address."""
    command = [sys.executable, "echo-program.py", *arguments]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment) as process:
        assert process.stdout is not None
        try:
            host, port = process.stdout.readline().strip().partition("://")[2].split(":")
            yield process.pid, (host, int(port))
        finally:
            process.terminate()


def family_of(supervisor: int) -> list[int]:
    """Return a supervisor's children: workers and relay."""
    found: set[int] = set()
    for children in Path(f"/proc/{supervisor}/task").glob("*/children"):
        found.update(map(int, children.read_text().split()))
    return sorted(found)


def report(name: str, rounds: list[tuple[float, float, float]]) -> None:
    cpu, half, most = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"{name:<30} {cpu:6.0f} us of CPU an echo, p50 {half:5.0f} us, p99 {most:5.0f} us", flush=True)


def compare(pids: list[int], kinds: dict[str, list[Client]], rounds: int, messages: int) -> None:
    """Measure in turn, and print the medians."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, clients in kinds.items():
            found[name].append(measure(pids, clients, messages))
    for name, measured in found.items():
        report(name, measured)
    for clients in kinds.values():
        for client in clients:
            client.sock.close()


def splices(folder: Path, stack: ExitStack, rounds: int, messages: int, count: int) -> None:
    redis = shutil.which("redis-server") or sys.exit("redis-server is not installed")
    path = folder / "redis.sock"
    command = [redis, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder)]
    engine = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL))
    stack.callback(engine.terminate)
    while not path.exists():
        time.sleep(0.05)
    url = f"redis+unix://{path}"
    one, first = stack.enter_context(started(folder, url))
    other, second = stack.enter_context(started(folder, url))
    time.sleep(10)  # partitions are shared out, and keys are told
    kinds: dict[str, list[Client]] = {"plain, at its owner": [], "plain, spliced": []}
    for number in range(count):
        for address, pid in ((first, one), (second, other)):
            client = Client(address, f"/echo/{number}", None)
            kinds["plain, at its owner" if client.owner == pid else "plain, spliced"].append(client)
    compare([one, other], kinds, rounds, messages)


def workers(folder: Path, stack: ExitStack, rounds: int, messages: int, count: int) -> None:
    authority, context = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(context)
    made = authority.issue_cert("127.0.0.1")
    made.private_key_pem.write_to_path(str(folder / "key.pem"))
    for at, pem in enumerate(made.cert_chain_pems):
        pem.write_to_path(str(folder / "chain.pem"), append=at > 0)
    supervisor, address = stack.enter_context(started(folder, "workers"))
    pids = family_of(supervisor)
    kinds: dict[str, list[Client]] = {"TLS, in its worker": [], "TLS, of another worker": []}
    while min(map(len, kinds.values())) < count:  # which worker accepts is a matter of chance
        before = {pid: descriptors(pid) for pid in pids}
        client = Client(address, "/echo/1", context)
        grown = [pid for pid in pids if descriptors(pid) > before[pid]]
        kinds["TLS, in its worker" if grown == [client.owner] else "TLS, of another worker"].append(client)
    compare(pids, {name: clients[:count] for name, clients in kinds.items()}, rounds, messages)


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def main(rounds: int = 5, messages: int = 4000, count: int = 8) -> None:
    """Measure both, and print a line for each way."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "echo-program.py").write_text(PROGRAM)
        splices(folder, stack, rounds, messages, count)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "echo-program.py").write_text(PROGRAM)
        workers(folder, stack, rounds, messages, count)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
