"""Measure the kernel's part of many rooms: ``python -m benchmarks.cold_sockets [SOCKETS ...]``.

A process without any WebSocket sends 66 bytes to each of its sockets, eight at a time, as a server does for a message
in a room of eight. The more sockets there are, the less of the kernel's state for the next one is in a cache of the
CPU. It prints the CPU time of a send for each number of sockets; by default 80, 800 and 8000. Linux only.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
from contextlib import ExitStack
from random import Random

ROOM = 8
SENT = b"\x81\x40" + bytes(64)
SENDS = 16_000
"""Sends of a measurement, at least four rounds of them."""


def read_rounds(port: int, sockets: int, go: int, done: int) -> None:
    """Connect, and read once from each socket for each byte that ``go`` has; in a process of its own."""
    with ExitStack() as stack:
        peers = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(sockets)]
        os.write(done, b".")
        while os.read(go, 1) == b"g":
            for peer in peers:
                peer.recv(4096)
            os.write(done, b".")


def cost_of_send(sockets: int) -> float:
    """Return the CPU seconds of a send to one of so many sockets."""
    go, told_go = os.pipe()
    done, told_done = os.pipe()
    rounds = max(4, SENDS // sockets)
    with ExitStack() as stack:
        door = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1000))
        pid = os.fork()
        if not pid:
            read_rounds(door.getsockname()[1], sockets, go, told_done)
            os._exit(0)
        ours = [stack.enter_context(door.accept()[0]) for _ in range(sockets)]
        rooms = list(range(0, sockets, ROOM))
        Random(1).shuffle(rooms)
        os.read(done, 1)
        used = 0.0
        for _ in range(rounds):
            before = time.process_time()
            for first in rooms:
                for one in ours[first : first + ROOM]:
                    one.send(SENT)
            used += time.process_time() - before
            os.write(told_go, b"g")
            os.read(done, 1)
        os.write(told_go, b"q")
        os.waitpid(pid, 0)
    for pipe in (go, told_go, done, told_done):
        os.close(pipe)
    return used / rounds / sockets


def main(numbers: list[int]) -> None:
    """Measure and print."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for sockets in numbers:
        print(f"{sockets:6} sockets: {cost_of_send(sockets) * 1e6:5.2f} us of CPU a send", flush=True)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [80, 800, 8000])
