"""What is asked of a connected socket, and of what stands in for one where there is no network.

Most of it is calls that both have. Waiting is not: only the kernel's sockets can be waited
for through trio.
"""

from __future__ import annotations

import socket
from typing import Protocol, TypeAlias

import trio

__all__ = ["Endpoint", "Substitute", "notify_closing", "wait_readable", "wait_writable"]


class Substitute(Protocol):
    """What stands in for a connected socket: the testing kit's, which is a pair of pipes in memory."""

    def fileno(self) -> int: ...
    def recv(self, size: int, /) -> bytes: ...
    def recv_into(self, buffer: memoryview, size: int = 0, /) -> int: ...
    def send(self, data: bytes | memoryview, /) -> int: ...
    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None: ...
    def getsockopt(self, level: int, option: int, /) -> int: ...
    def shutdown(self, how: int, /) -> None: ...
    def close(self) -> None: ...
    def unsent(self) -> int: ...
    async def wait_readable(self) -> None: ...
    async def wait_writable(self) -> None: ...


Endpoint: TypeAlias = socket.socket | Substitute


async def wait_readable(sock: Endpoint) -> None:
    """Wait until ``sock`` has octets, its end, or someone to accept."""
    if isinstance(sock, socket.socket):
        await trio.lowlevel.wait_readable(sock)
    else:
        await sock.wait_readable()


async def wait_writable(sock: Endpoint) -> None:
    """Wait until ``sock`` takes octets."""
    if isinstance(sock, socket.socket):
        await trio.lowlevel.wait_writable(sock)
    else:
        await sock.wait_writable()


def notify_closing(sock: Endpoint) -> None:
    """Wake whoever waits for a socket that is about to be closed, or to be given to another owner."""
    if isinstance(sock, socket.socket):
        trio.lowlevel.notify_closing(sock)
