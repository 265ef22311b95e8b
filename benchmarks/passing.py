"""Measure the cost of passing a newcomer to another worker: CPU time of all workers for each connect.

``python benchmarks/passing.py [WORKERS] [ROUNDS] [SECONDS]`` serves with that many workers. In each round clients
connect to 64 paths of scope ``"shared"``, whose newcomers stay where they are accepted, and then to 64 of scope
``"path"``, of which all but one in WORKERS are passed. It prints the median of both, and of the ratio in each round.
"""

from __future__ import annotations

import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

from benchmarks.serving import cpu_seconds

PATHS = 64
AT_ONCE = 16
RESET = struct.pack("ii", 1, 0)

PROGRAM = """
import sys
import wsframe


class Greeting(wsframe.Resource):
    async def client_connected(self, client):
        client.send_text("hello")


class Shared(Greeting):
    scope = "shared"


class Spread(Greeting):
    scope = "path"


for number in range(int(sys.argv[2])):
    wsframe.register_global_resource(f"/shared/{number}", Shared(), wsframe.any_origin)
    wsframe.register_global_resource(f"/spread/{number}", Spread(), wsframe.any_origin)
if __name__ == "__main__":
    wsframe.run(
        port=0, workers=int(sys.argv[1]), started=lambda server: print(server.addresses[0], flush=True),
        log_level="warning", capacity=wsframe.Capacity(max_clients=None),
    )
"""


def workers_of(supervisor: int) -> list[int]:
    """Return the worker processes of a supervisor; the relay beside them has another command line."""
    found: set[int] = set()
    for children in Path(f"/proc/{supervisor}/task").glob("*/children"):
        found.update(map(int, children.read_text().split()))
    return [pid for pid in found if b"passing-program" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def connect(address: tuple[str, int], path: str) -> socket.socket:
    """Connect and send a handshake."""
    sock = socket.create_connection(address)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"]
    key = "AAAAAAAAAAAAAAAAAAAAAA=="
    sock.sendall("\r\n".join([*lines, "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "", ""]).encode())
    return sock


def hammer(address: tuple[str, int], paths: list[str], seconds: float) -> int:
    """Connect for so long; return how often."""
    count, turn, end = 0, cycle(paths), time.monotonic() + seconds
    while time.monotonic() < end:
        socks = [connect(address, next(turn)) for _ in range(AT_ONCE)]
        for sock in socks:
            with sock:
                received = b""
                while b"hello" not in received:
                    data = sock.recv(4096)
                    if not data:
                        raise SystemExit(f"refused: {received!r}")
                    received += data
            count += 1
    return count


def main(workers: int = 2, rounds: int = 11, seconds: float = 1.0) -> None:
    """Measure, and print one line for each kind of path."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "passing-program.py"
        file.write_text(PROGRAM)
        command = [sys.executable, str(file), str(workers), str(PATHS)]
        environment = {**os.environ, "XDG_RUNTIME_DIR": folder}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as service:
            assert service.stdout is not None
            try:
                host, port = service.stdout.readline().strip().removeprefix("ws://").split(":")
                pids, address = workers_of(service.pid), (host, int(port))
                kinds = {
                    name: [f"/{path}/{number}" for number in range(PATHS)]
                    for name, path in (("stay", "shared"), ("pass", "spread"))
                }
                found: dict[str, list[float]] = {name: [] for name in kinds}
                for paths in kinds.values():
                    hammer(address, paths, seconds / 2)
                for _ in range(rounds):
                    for name, paths in kinds.items():
                        before = cpu_seconds(pids)
                        count = hammer(address, paths, seconds)
                        time.sleep(0.05)  # the last goodbyes
                        found[name].append((cpu_seconds(pids) - before) / count * 1e6)
            finally:
                service.terminate()
    for name, values in found.items():
        print(f"{name}: {statistics.median(values):.0f} us of CPU a connect ({min(values):.0f} to {max(values):.0f})")
    ratios = [after / before for before, after in zip(found["stay"], found["pass"], strict=True)]
    print(f"{workers} workers, {len(pids)} seen: ratio {statistics.median(ratios):.3f} (worst {max(ratios):.3f})")


if __name__ == "__main__":
    numbers = [float(word) for word in sys.argv[1:]]
    main(*(kind(number) for kind, number in zip((int, int, float), numbers, strict=False)))
