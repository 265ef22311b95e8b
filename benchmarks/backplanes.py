"""``python -m benchmarks.backplanes [NAME ...]``: the cost of a message from one process to another by each backplane.

One process publishes and one receives, each with its own CPU time. Latency: one message each 2 ms. Throughput: as
many as the backplane takes. The servers are started here, at unix sockets, and run on the same CPUs. ``relay+glide`` is
from a worker of one machine to a worker of another one: each has a relay, and these have the engine.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import trio

from benchmarks.serving import cpu_seconds
from tests.backplane.postgres_server import postgres_server
from tests.backplane.redis_server import redis_server
from tests.backplane.relays import relay_process
from wsframe.backplane.interface import Backplane, Position
from wsframe.backplane.postgres.backplane import PostgresBackplane
from wsframe.backplane.redis.backplane import RedisBackplane
from wsframe.backplane.relay.backplane import RelayBackplane

NAMES = {
    "relay": "relay",
    "glide": "Redis, valkey-glide",
    "coredis": "Redis, coredis",
    "postgresql": "PostgreSQL",
    "relay+glide": "relays, Redis by glide",
    "relay+postgresql": "relays, PostgreSQL",
}
TOPIC = "benchmark"
SINGLE, EVERY = 2_000, 0.002
MANY, SIZE = 50_000, 100
END = b"end"


class Place(NamedTuple):
    """A backplane's server."""

    near: str
    """The address for the one who publishes."""
    far: str
    """That for the one who receives."""
    between: list[int]
    """The processes between them."""


def made(name: str, address: str) -> Backplane:
    """Make a backplane."""
    if name.startswith("relay"):
        return RelayBackplane(address)
    if name == "postgresql":
        return PostgresBackplane(address)
    return RedisBackplane(address, transport="glide" if name == "glide" else "coredis")


@contextmanager
def server(name: str) -> Iterator[Place]:
    """Run the server of a backplane."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        engine, processes = "", list[int]()
        if name.endswith("postgresql"):
            postgres = stack.enter_context(postgres_server())
            engine, processes = postgres.url, [postgres.pid]
        elif name != "relay":
            redis = stack.enter_context(redis_server(folder))
            engine, processes = redis.url, [redis.pid]
        if not name.startswith("relay"):
            yield Place(engine, engine, processes)
            return
        paths = [folder / f"relay {number}" for number in range(2 if engine else 1)]
        for path in paths:
            listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            listener.bind(str(path))
            listener.listen()
            processes.append(stack.enter_context(relay_process(listener, engine)).pid)
        yield Place(str(paths[0]), str(paths[-1]), processes)


def cpu_of(pids: list[int]) -> float:
    """Return the CPU time of processes and of their children, which PostgreSQL has one of for each connection."""
    children = (Path(f"/proc/{pid}/task/{pid}/children").read_text().split() for pid in pids)
    return cpu_seconds([*pids, *(int(one) for found in children for one in found)])


def cpu() -> float:
    """Return the CPU time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Receiver:
    """Counts messages and notes how long they took."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.count = 0
        self.gaps = 0
        self.first = self.last = 0
        self.ready = trio.Event()
        self.ended = trio.Event()

    def message(self, topic: str, payload: bytes, sender: str, position: Position | None) -> None:
        if payload == END:
            self.ended.set()
        elif len(payload) < SIZE:
            self.latencies.append((time.monotonic_ns() - int(payload)) / 1_000)
        else:
            self.last = time.monotonic_ns()
            self.first = self.first or self.last
            self.count += 1

    def wanted(self, topic: str, position: Position | None) -> None:
        self.ready.set()

    def gap(self, topic: str | None) -> None:
        self.gaps += 1

    def reach(self, up: bool) -> None: ...


async def receive(name: str, address: str) -> None:
    """Be the receiving process: report once after the messages of each part."""
    for _ in range(2):
        receiver, plane = Receiver(), made(name, address)
        async with trio.open_nursery() as nursery:
            plane.want([TOPIC])
            await nursery.start(plane.run, "receiver", receiver)
            await receiver.ready.wait()
            print(json.dumps({"ready": True}), flush=True)
            began = cpu()
            await receiver.ended.wait()
            seconds = max(1, receiver.last - receiver.first) / 1e9
            latencies = sorted(receiver.latencies) or [0.0]
            report = {
                "p50": latencies[len(latencies) // 2],
                "p99": latencies[len(latencies) * 99 // 100],
                "count": receiver.count,
                "rate": receiver.count / seconds,
                "cpu": (cpu() - began) * 1e6 / max(1, receiver.count),
                "gaps": receiver.gaps,
            }
            print(json.dumps(report), flush=True)
            nursery.cancel_scope.cancel()


async def queue(plane: Backplane, payload: bytes) -> None:
    """Publish a message, once there is room."""
    while True:
        if plane.publish(TOPIC, payload):
            return
        await trio.sleep(0.001)


async def say_end(plane: Backplane) -> None:
    """Say again and again that a part has ended: a word can be lost."""
    while True:
        await queue(plane, END)
        await trio.sleep(0.5)


async def measure(name: str, place: Place) -> dict[str, Any]:
    """Publish to a receiving process."""
    command = [sys.executable, "-m", "benchmarks.backplanes", "--receive", name, place.far]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    lines = Lines(process.stdout)
    try:
        plane = made(name, place.near)
        async with trio.open_nursery() as nursery:
            await nursery.start(plane.run, "publisher", Receiver())
            await lines.next()
            for _ in range(SINGLE):
                await queue(plane, b"%d" % time.monotonic_ns())
                await trio.sleep(EVERY)
            single = await ended(plane, lines)
            await lines.next()
            began, between = cpu(), cpu_of(place.between)
            for number in range(MANY):
                await queue(plane, bytes(SIZE))
                if not number % 100:
                    await trio.lowlevel.checkpoint()
                if isinstance(plane, RelayBackplane) and not number % 5_000:
                    await plane.sent()  # beyond 20 000 messages a relay drops those for its engine
            many = await ended(plane, lines)
            nursery.cancel_scope.cancel()
        return {
            "p50": single["p50"],
            "p99": single["p99"],
            "rate": many["rate"],
            "received": many["cpu"],
            "published": (cpu() - began) * 1e6 / MANY,
            "between": (cpu_of(place.between) - between) * 1e6 / MANY,
            "lost": MANY - many["count"],
        }
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


class Lines:
    """The reports of a process, one a line."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._read = b""

    async def next(self) -> dict[str, Any]:
        """Return the next report."""
        while b"\n" not in self._read:
            self._read += await self._stream.receive_some(65536)
        line, _, self._read = self._read.partition(b"\n")
        report: dict[str, Any] = json.loads(line)
        return report


async def ended(plane: Backplane, lines: Lines) -> dict[str, Any]:
    """End a part, and return the report on it."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(say_end, plane)
        report = await lines.next()
        nursery.cancel_scope.cancel()
    return report


def main() -> None:
    """Measure the backplanes that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backplanes", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; default: all")
    parser.add_argument("--receive", action="store_true", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.receive:
        trio.run(receive, *parsed.names)
        return
    print("Backplane              p50 us  p99 us   messages/s  us of CPU to receive, to publish, between  lost")
    for name in parsed.names or NAMES:
        with server(name) as place:
            found = trio.run(measure, name, place)
        print(
            f"{NAMES[name]:22} {found['p50']:6.0f} {found['p99']:7.0f} {found['rate']:12.0f} "
            f"{found['received']:22.1f} {found['published']:11.1f} {found['between']:9.1f} {found['lost']:5}",
            flush=True,
        )


if __name__ == "__main__":
    main()
