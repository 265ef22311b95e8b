"""Ports for programs that cannot take any port and tell which it is."""

from __future__ import annotations

import itertools
import os
import socket

__all__ = ["BLOCK", "FIRST", "LAST", "free_port"]

FIRST, LAST = 10_000, 32_000
"""Below the ports that Linux and macOS give to those who take any: so no connection of another test gets one of them
before the program has bound it."""
BLOCK = 50
"""Ports of one process of the tests: those that run at once have numbers that are near each other, never equal here."""

_turns = itertools.count()


def free_port(count: int = 1) -> int:
    """Return a port of loopback that is free, as are the next ``count`` - 1; no other test is given them soon."""
    blocks = (LAST - FIRST) // BLOCK
    begin = FIRST + os.getpid() % blocks * BLOCK
    for _ in range(BLOCK):
        turn = min(next(_turns) for _ in range(count)) % BLOCK
        ports = range(begin + turn, begin + turn + count)
        try:
            for port in ports:
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        if ports[-1] < begin + BLOCK:
            return ports[0]
    raise OSError(f"no {count} ports in a row from {begin} to {begin + BLOCK - 1} are free")
