"""Measure the relay between workers: its CPU time for a delivery, and the time a message takes.

``python benchmarks/relay.py [MESSAGES] [RECEIVERS] [ROUNDS]`` runs the relay, one publisher and the receivers
as processes of their own. It prints the median round: microseconds of the relay's CPU for each delivery,
messages per second, and how long a message takes where the next one waits for it.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import tempfile
import time

import trio

from benchmarks.serving import cpu_seconds
from wsframe.backplane.interface import Position
from wsframe.backplane.relay.backplane import RelayBackplane

PAYLOAD = 256
ALONE = 2_000


class Receiver:
    """Counts messages, and notes how long each took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.gaps = 0
        self.last = trio.Event()

    def message(self, topic: str, payload: bytes, sender: str, position: Position | None) -> None:
        self.seconds.append(time.monotonic() - float(payload[1:40]))
        if payload[:1] == b"-":
            self.last.set()

    def wanted(self, topic: str, position: Position | None) -> None:
        print("ready", flush=True)

    def gap(self, topic: str | None) -> None:
        self.gaps += 1

    def reach(self, up: bool) -> None:
        pass


async def receive(path: str, node: str) -> None:
    """Be a receiver: print the median of the messages that came alone, and the number of gaps."""
    receiver, plane = Receiver(), RelayBackplane(path)
    plane.want(["t"])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(plane.run, node, receiver)
        await receiver.last.wait()
        nursery.cancel_scope.cancel()
    print(statistics.median(receiver.seconds[:ALONE]), len(receiver.seconds), receiver.gaps, flush=True)


async def publish(path: str, messages: str) -> None:
    """Be the publisher: some messages one by one, then all of them as fast as there is room."""
    plane = RelayBackplane(path)
    async with trio.open_nursery() as nursery:
        await nursery.start(plane.run, "publisher", Receiver())
        count = ALONE + int(messages)
        for number in range(count):
            first = b"-" if number == count - 1 else b"+"
            message = first + repr(time.monotonic()).ljust(PAYLOAD - 1).encode()
            while not plane.publish("t", message):  # noqa: ASYNC110 - there is room once the relay has read
                await trio.sleep(0.001)
            if number < ALONE:
                await trio.sleep(0.0005)
            elif number % 64 == 0:
                await trio.lowlevel.checkpoint()
        await trio.sleep(1.0)
        nursery.cancel_scope.cancel()


def one_round(messages: int, receivers: int) -> tuple[float, float, float]:
    """Return microseconds of the relay's CPU for a delivery, messages per second, and microseconds a message takes."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = f"{folder}/relay"
        listener.bind(path)
        listener.listen()
        relay = subprocess.Popen(
            [sys.executable, "-m", "wsframe.backplane.relay_process", str(listener.fileno())],
            pass_fds=[listener.fileno()],
        )
        try:
            others = [
                subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.relay", "receive", path, str(number)], stdout=subprocess.PIPE
                )
                for number in range(receivers)
            ]
            for other in others:
                assert other.stdout is not None
                assert other.stdout.readline() == b"ready\n"
            before, began = cpu_seconds([relay.pid]), time.monotonic()
            subprocess.run([sys.executable, "-m", "benchmarks.relay", "publish", path, str(messages)], check=True)
            lines = [other.communicate()[0].split() for other in others]
            took = time.monotonic() - began
            delivered = sum(int(line[1]) for line in lines)
            microseconds = statistics.median(float(line[0]) for line in lines) * 1e6
            return (cpu_seconds([relay.pid]) - before) * 1e6 / delivered, messages / took, microseconds
        finally:
            relay.kill()
            relay.wait()


def main() -> None:
    if sys.argv[1:2] == ["receive"]:
        trio.run(receive, sys.argv[2], sys.argv[3])
    elif sys.argv[1:2] == ["publish"]:
        trio.run(publish, sys.argv[2], sys.argv[3])
    else:
        messages, receivers, rounds = (list(map(int, sys.argv[1:])) + [50_000, 2, 3][len(sys.argv) - 1 :])[:3]
        figures = zip(*(one_round(messages, receivers) for _ in range(rounds)), strict=True)
        cpu, rate, took = map(statistics.median, figures)
        print(f"relay: {cpu:.2f} us of CPU a delivery, {rate:.0f} messages/s, one alone takes {took:.0f} us")


if __name__ == "__main__":
    main()
