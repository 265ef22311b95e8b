"""The calls that wsframe makes on a connected socket, and on a stand-in where there is no network.

Most of it is calls that both have. Waiting is not: only the kernel's sockets can be waited
for through trio.
"""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol, Self, TypeAlias

import trio

__all__ = [
    "ORDINARY", "Endpoint", "Manner", "NamedSocket", "Substitute", "Traits", "accept_of", "has_ended", "has_unread",
    "notify_closing", "traits_of", "wait_readable", "wait_writable",
]  # fmt: skip


class Manner(NamedTuple):
    """How a listening socket differs from the others of its server."""

    proxy_protocol: bool = False
    """Whether each connection begins with a header of the PROXY protocol."""
    plain: bool = False
    """Whether it has no TLS, though the server has."""


ORDINARY = Manner()

Traits: TypeAlias = tuple[str | None, bool, bool]
"""The host that a socket was bound by and its manner, as they go to another process in JSON."""


class NamedSocket(socket.socket):
    """A socket that knows the host that it was bound by, which it answers to, and its manner."""

    named: str | None = None
    manner: Manner = ORDINARY

    def with_traits(self, traits: Sequence[Any]) -> Self:
        """Take over the state of the socket in another process."""
        self.named, *manner = traits
        self.manner = Manner(*manner)
        return self


def traits_of(sock: socket.socket) -> Traits:
    """Return the host and the manner of a socket, those of one that was not bound here included."""
    return (sock.named, *sock.manner) if isinstance(sock, NamedSocket) else (None, *ORDINARY)


class Substitute(Protocol):
    """A stand-in for a connected socket: the testing kit's, which is a pair of pipes in memory."""

    def fileno(self) -> int: ...
    def recv(self, size: int, /) -> bytes: ...
    def recv_into(self, buffer: memoryview, size: int = 0, /) -> int: ...
    def send(self, data: bytes | memoryview, /) -> int: ...
    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None: ...
    def getsockopt(self, level: int, option: int, /) -> int: ...
    def shutdown(self, how: int, /) -> None: ...
    def close(self) -> None: ...
    def unsent(self) -> int: ...
    def has_ended(self) -> bool: ...
    def peek(self) -> bytes: ...
    async def wait_readable(self) -> None: ...
    async def wait_writable(self) -> None: ...


Endpoint: TypeAlias = socket.socket | Substitute


# Plain functions: each coroutine between a newcomer's task and trio is memory that its peer holds while it waits.


def accept_of(listening: socket.socket) -> Callable[[], tuple[socket.socket, Any]]:
    """Return ``accept`` of a listening socket, which raises the same errors, for less.

    Python's makes enums of the family and the type for each connection, and numbers of the enums again.
    """
    if getattr(type(listening), "accept", None) is not socket.socket.accept:  # a stand-in
        return listening.accept
    kind = int(listening.family), int(listening.type), listening.proto

    def accept() -> tuple[socket.socket, Any]:
        descriptor, address = listening._accept()  # type: ignore[attr-defined]
        return socket.socket(*kind, descriptor), address

    return accept


def wait_readable(sock: Endpoint) -> Awaitable[None]:
    """Wait until ``sock`` has bytes, its end, or a connection to accept."""
    if isinstance(sock, socket.socket):
        return trio.lowlevel.wait_readable(sock)  # noqa: ASYNC105 (the caller awaits it)
    return sock.wait_readable()


def wait_writable(sock: Endpoint) -> Awaitable[None]:
    """Wait until ``sock`` takes bytes."""
    if isinstance(sock, socket.socket):
        return trio.lowlevel.wait_writable(sock)  # noqa: ASYNC105 (the caller awaits it)
    return sock.wait_writable()


def notify_closing(sock: Endpoint) -> None:
    """Wake the tasks that wait for a socket that is about to be closed, or to be given to another owner."""
    if isinstance(sock, socket.socket):
        trio.lowlevel.notify_closing(sock)


def has_ended(sock: Endpoint | int) -> bool:
    """Return whether the peer of a connection, given by its socket or descriptor, sends no more or has gone.

    On systems other than Linux, an end after bytes that are not read does not show.
    """
    if not isinstance(sock, socket.socket | int):
        return sock.has_ended()
    fd = sock if isinstance(sock, int) else sock.fileno()
    if sys.platform != "linux":
        return ended_by_peek(fd)
    asking = select.poll()
    asking.register(fd, select.POLLRDHUP)
    return bool(asking.poll(0))


def has_unread(sock: Endpoint) -> bool:
    """Return whether there are bytes to be read of a peer that sends no more; True also after a reset."""
    if not isinstance(sock, socket.socket):
        return bool(sock.peek())
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except OSError:
        return True


def ended_by_peek(fd: int) -> bool:
    sock = socket.socket(fileno=fd)
    try:
        return not sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        sock.detach()
