"""Count the instructions that metrics and the log cost: ``python -m benchmarks.instructions [--rounds N] [--write]``.

Servers run under callgrind: wsframe with its C extension, and a copy of it from which the lines that count are taken
out (``uncounted``). The instructions in user space for a message are the same however busy the machine is, so that a
tenth of a percent shows; no measurement of time does that. The kernel's part of a message is not in them: of all that
a message costs the share is smaller. Needs valgrind. ``--write`` writes the record, of which the documentation has a
table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.serving import free_port
from benchmarks.uncounted import build_copy

__all__ = ["RECORD", "TABLE", "figures", "page"]

ROOT = Path(__file__).parents[1]
RECORD = Path(__file__).parent / "results/instructions.json"
TABLE = ROOT / "docs/explanation/performance/instructions.inc"

PATIENCE = 600.0
RECEIVERS = 100
AT_ONCE = 16
SIZE = 64
TIMES = 3200
"""Messages of a measurement; of connections a tenth, of scrapes a hundredth."""

TARGET = """
import gc

import wsframe
from wsframe.hooks import caller, stopwatch
from wsframe.server.logs import stderr_log
from wsframe.server.monitoring import watchdog

# A server under callgrind is slow: by the clock, all would take other ways than in a server that is not.
watchdog.LOOK = caller.BATCH_SECONDS = stopwatch.QUICK = 1e6
stderr_log.BETWEEN_WRITES *= 100

class Echo(wsframe.Resource):
    async def received_text(self, client, message):
        client.send_text(message)

class Everybody(wsframe.Resource):
    async def received_text(self, client, message):
        self.broadcast_text(message)

wsframe.register_global_resource("/echo", Echo())
wsframe.register_global_resource("/broadcast", Everybody())
gc.disable()  # a collection is as dear as a hundred messages, and falls into one measurement or another
"""
HEAD = (
    "GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MASK = b"abcd"
MESSAGE = b"\x81" + bytes([0x80 | SIZE]) + MASK + bytes(0x20 ^ MASK[at % 4] for at in range(SIZE))
CLOSE = b"\x88\x82" + MASK + bytes(one ^ MASK[at] for at, one in enumerate(struct.pack("!H", 1000)))
ANSWER = SIZE + 2

Run = Callable[[int], int]
"""Takes a number of messages, and returns how many there were."""
Load = Callable[["Counted"], AbstractContextManager[Run]]
"""Prepares a load, which is not counted."""


class Counted:
    """A server under callgrind.

    Args:
        pid: Its process.
        port: Its port.
        metrics: The port of its metrics.
        folder: The place of callgrind's files.
    """

    def __init__(self, pid: int, port: int, metrics: int, folder: Path) -> None:
        self._pid = pid
        self.port = port
        self.metrics = metrics
        self._folder = folder

    def begin(self) -> None:
        """Begin to count: a start that is counted takes minutes."""
        self._control("--instr=on")

    def _control(self, order: str) -> None:
        command = ["callgrind_control", order, str(self._pid)]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)

    def instructions(self) -> int:
        """Return the instructions since the last call."""
        before = set(self._folder.iterdir())
        self._control("--dump")
        made = [one.read_text() for one in set(self._folder.iterdir()) - before]
        return sum(int(number) for text in made for number in re.findall(r"^(?:totals): (\d+)", text, re.MULTILINE))


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE)


def opened(port: int, path: str) -> socket.socket:
    """Open a WebSocket."""
    sock = connected(port)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(HEAD.format(path).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    assert b" 101 " in head, head
    return sock


def take(sock: socket.socket, size: int) -> None:
    """Receive so many bytes."""
    while size:
        received = len(sock.recv(min(size, 65536)))
        assert received
        size -= received


@contextmanager
def echoes(server: Counted, together: int = 1) -> Iterator[Run]:
    """Have messages echoed, so many of them at a time."""
    with opened(server.port, "/echo") as sock:

        def run(times: int) -> int:
            for _ in range(times // together):
                sock.sendall(MESSAGE * together)
                take(sock, ANSWER * together)
            return times // together * together

        yield run


@contextmanager
def echoes_together(server: Counted) -> Iterator[Run]:
    with echoes(server, AT_ONCE) as run:
        yield run


@contextmanager
def broadcasts(server: Counted) -> Iterator[Run]:
    """Have messages delivered."""
    with ExitStack() as stack:
        socks = [stack.enter_context(opened(server.port, "/broadcast")) for _ in range(RECEIVERS)]

        def run(times: int) -> int:
            for _ in range(times // RECEIVERS):
                socks[0].sendall(MESSAGE)
                for sock in socks:
                    take(sock, ANSWER)
            return times // RECEIVERS * RECEIVERS

        yield run


@contextmanager
def connections(server: Counted) -> Iterator[Run]:
    """Connect and close."""

    def run(times: int) -> int:
        for _ in range(times // 10):
            with opened(server.port, "/echo") as sock:
                sock.sendall(CLOSE)
                while sock.recv(4096):
                    pass
        return times // 10

    yield run


@contextmanager
def scrapes(server: Counted) -> Iterator[Run]:
    """Ask for the page of metrics, with 100 clients."""
    with ExitStack() as stack:
        for _ in range(RECEIVERS):
            stack.enter_context(opened(server.port, "/broadcast"))

        def run(times: int) -> int:
            for _ in range(times // 100):
                with connected(server.metrics) as sock:
                    sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    while sock.recv(65536):
                        pass
            return times // 100

        yield run


LOADS: dict[str, tuple[Load, str]] = {
    "echo": (echoes, "an echo of 64 bytes, one at a time"),
    "echo-16": (echoes_together, "the same, 16 at a time"),
    "broadcast": (broadcasts, "a delivery of a broadcast to 100 clients"),
}
"""The loads under which servers with and without counters are compared, and the words for one message."""
LINES = {"none": ("--log-level", "warning"), "text": (), "json": ("--log-format", "json")}
"""The options for a line at the end of each connection."""


@contextmanager
def served(place: Path, package: Path, *options: str) -> Iterator[Counted]:
    """Run a server under callgrind."""
    port, metrics, folder = free_port(), free_port(), Path(tempfile.mkdtemp(dir=place))
    command = [
        "valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out",
        sys.executable, "-m", "wsframe", "serve", str(place / "target.py"),
        "--port", str(port), "--metrics-port", str(metrics), "--ping-interval", "none", *options,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(package), "PYTHONHASHSEED": "0"}
    one_cpu = {min(os.sched_getaffinity(0))}  # with one processor the server does not spin
    with (place / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.DEVNULL, stderr=log)
    os.sched_setaffinity(process.pid, one_cpu)
    try:
        until = time.monotonic() + PATIENCE
        while not listens(port):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"the server did not start: {(place / 'log').read_text()}")
            time.sleep(0.1)
        server = Counted(process.pid, port, metrics, folder)
        server.begin()
        yield server
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    try:
        connected(port).close()
    except ConnectionRefusedError:
        return False
    return True


def measured(server: Counted, load: Load) -> float:
    """Return the instructions for one message of a load."""
    with load(server) as run:
        run(TIMES // 4)
        server.instructions()
        messages = run(TIMES)
        return server.instructions() / messages


def rounds_of(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Measure everything so many times; return the instructions by load and server."""
    found: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "target.py").write_text(TARGET)
        packages = {
            counters: build_copy(place / counters, counters=counters == "with") for counters in ("without", "with")
        }
        for _ in range(rounds):
            for counters, package in packages.items():
                with served(place, package) as server:
                    for load, (prepare, _) in LOADS.items():
                        found[load][counters].append(measured(server, prepare))
                    if counters == "with":
                        found["scrape"]["with"].append(measured(server, scrapes))
            for line, options in LINES.items():
                with served(place, packages["with"], *options) as server:
                    found["connection"][line].append(measured(server, connections))
    return {load: dict(servers) for load, servers in found.items()}


def figures(record: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return the medians of a record."""
    return {
        load: {server: median(counts) for server, counts in servers.items()}
        for load, servers in record["instructions"].items()
    }


def page(record: dict[str, Any]) -> str:
    """Return the table of a record for the documentation."""
    medians = figures(record)
    rows = [("Instructions of", "without", "with", "difference")]
    for load, (_, words) in LOADS.items():
        without, with_them = medians[load]["without"], medians[load]["with"]
        rows.append((f"counters: {words}", f"{without:,.0f}", f"{with_them:,.0f}", f"{with_them / without - 1:+.1%}"))
    for line in ("text", "json"):
        cost, other = medians["connection"][line], medians["connection"]["none"]
        words = f"log: a connection, with its line in {'JSON' if line == 'json' else line}"
        rows.append((words, f"{other:,.0f}", f"{cost:,.0f}", f"{cost / other - 1:+.1%}"))
    rows.append(("a page of metrics, with 100 clients", "", f"{medians['scrape']['with']:,.0f}", ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = " ".join("=" * max(width, 2) for width in widths)
    shown = [
        " ".join(
            [
                row[0].ljust(widths[0]) or "\\ ",
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    ]
    about = "\n".join([".. Written by python -m benchmarks.instructions --write.", "", f"{record['about']}:", ""])
    return "\n".join([about, rule, shown[0], rule, *shown[1:], rule, ""])


def main() -> None:
    """Measure, print the table, and write the record if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often to measure; default 3")
    parser.add_argument("--write", action="store_true", help="write the record and the table of the documentation")
    options = parser.parse_args()
    about = f"Medians of {options.rounds} runs with Python {platform.python_version()}, {date.today()}"
    record = {"about": about, "instructions": rounds_of(options.rounds)}
    print(page(record))
    if options.write:
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
        TABLE.write_text(page(record))


if __name__ == "__main__":
    main()
