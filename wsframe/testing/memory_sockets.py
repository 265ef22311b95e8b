"""In-memory connections: sockets without a kernel, a poller for them, and the network they share.

To a server they behave like TCP on loopback: bounded buffers on both sides, one end for each
direction, resets. Nothing in them takes time, so that a test with trio's autojump clock sees
the same in every run.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import MutableMapping
from itertools import count
from typing import TypeVar
from weakref import WeakValueDictionary

import trio

from wsframe.doorbell import Doorbell
from wsframe.net.poller import END, GONE, READ, WRITE
from wsframe.net.socket_options import LINGER_NONE
from wsframe.server.peers.peer_port import PeerSocket

__all__ = ["BUFFER", "MemoryListener", "MemoryNetwork", "MemoryPoller", "MemorySocket", "pair", "pair_of"]

BUFFER = 64 * 1024
"""Bytes that each of the four buffers of a connection holds by default."""

# Above all descriptors of the kernel, so that a system call with such a number fails.
FIRST_NUMBER = 1 << 30
FIRST_PORT = 50001


SocketT = TypeVar("SocketT", bound="MemorySocket")


def error(number: int) -> OSError:
    """Make the error that the kernel returns."""
    return OSError(number, os.strerror(number))


def ignore() -> None:
    """Ignore a change."""


class MemorySocket:
    """One end of an in-memory connection, with the methods of a non-blocking socket.

    The receiver's end holds the bytes on their way: up to ``buffer`` bytes stand for its kernel's
    receive buffer, and as many more for the sender's send buffer.
    """

    def __init__(self, number: int, buffer: int) -> None:
        self._number = number
        self._buffer = buffer
        self._incoming = bytearray()
        self._peer: MemorySocket
        self._ended = False
        """Whether the peer has stopped sending."""
        self._shut = False
        """Whether this side has stopped sending."""
        self._reset = False
        self._closed = False
        self._linger = True
        self._waiting = trio.lowlevel.ParkingLot()
        self.on_change = ignore
        """Called whenever the readiness can have changed."""

    def __repr__(self) -> str:
        return f"<MemorySocket {self._number} [{len(self._incoming)} bytes to read]>"

    # The methods of a socket

    def fileno(self) -> int:
        return self._number

    def setblocking(self, flag: bool) -> None:
        assert not flag, "nothing here blocks"

    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None:
        """Accept any option; only the one that turns a close into a reset has an effect."""
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self._linger = value != LINGER_NONE

    def getsockopt(self, level: int, option: int, /) -> int:
        """Return whether the connection is broken; every other option is off."""
        return errno.ECONNRESET if self._reset and (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR) else 0

    def recv(self, size: int, /) -> bytes:
        """Return bytes, or ``b""`` at the end.

        Raises:
            BlockingIOError: While there is nothing to read.
            ConnectionResetError: After a reset, once all bytes before it have been read.
        """
        if self._closed:
            raise error(errno.EBADF)
        if self._incoming:
            data = bytes(self._incoming[:size])
            del self._incoming[:size]
            self._peer._tell()
            return data
        if self._reset:
            raise error(errno.ECONNRESET)
        if self._ended:
            return b""
        raise error(errno.EAGAIN)

    def peek(self) -> bytes:
        """Return the bytes that :meth:`recv` can return, and keep them."""
        return bytes(self._incoming)

    def recv_into(self, buffer: memoryview, size: int = 0, /) -> int:
        """Receive like :meth:`recv`, into a buffer."""
        data = self.recv(size or len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def send(self, data: bytes | memoryview, /) -> int:
        """Send bytes and return how many were accepted.

        Raises:
            BlockingIOError: While the buffers are full.
            BrokenPipeError: After a reset, or the end of this direction.
        """
        if self._closed:
            raise error(errno.EBADF)
        if self._reset or self._shut:
            raise error(errno.EPIPE)
        peer = self._peer
        if peer._closed:  # a kernel accepts them too, and answers with a reset
            self.be_reset()
            return len(data)
        room = peer._buffer + self._buffer - self.in_flight
        if not room:
            raise error(errno.EAGAIN)
        taken = data[:room]
        peer._incoming += taken
        peer._tell()
        return len(taken)

    def unsent(self) -> int:
        """Return how many bytes this side's kernel still holds."""
        return max(0, self.in_flight - self._peer._buffer)

    @property
    def in_flight(self) -> int:
        """How many sent bytes the peer has not read yet."""
        return len(self._peer._incoming)

    @property
    def broken(self) -> bool:
        """Whether the connection has been reset."""
        return self._reset

    def shutdown(self, how: int, /) -> None:
        """Stop sending; with SHUT_RDWR also receiving, as of bytes that have come."""
        assert how in {socket.SHUT_WR, socket.SHUT_RDWR}, "SHUT_RD is not supported"
        if self._reset or self._closed:
            raise error(errno.ENOTCONN)
        self._shut = self._peer._ended = True
        if how == socket.SHUT_RDWR:
            self._incoming.clear()
            self._ended = True
        self._peer._tell()
        self._tell()

    def close(self) -> None:
        """End both directions: by a reset if an option asks for it or there are unread bytes."""
        if self._closed:
            return
        self._closed = True
        if self._incoming or not self._linger:
            self._peer.be_reset()
        self._incoming.clear()
        self._peer._ended = True
        self._peer._tell()
        self._tell()

    def be_reset(self) -> None:
        """Have the peer reset the connection: its bytes on their way are gone."""
        self._reset = True
        del self._incoming[self._buffer :]  # the sender's kernel drops its unsent bytes
        self._tell()

    # Readiness

    def readiness(self) -> int:
        """Return the poller's flags for the operations that would not block now."""
        flags = 0
        if self._incoming or self._ended or self._reset or self._closed:
            flags |= READ
        # Linux reports a socket as writable when a third of the buffer is free.
        if self._reset or self._closed or self._shut or 3 * self.unsent() <= 2 * self._buffer:
            flags |= WRITE
        if self.has_ended():
            flags |= END
        if self._reset or (self._ended and self._shut):
            flags |= GONE
        return flags

    def has_ended(self) -> bool:
        """Return whether the peer has stopped sending, or has gone."""
        return self._ended or self._reset or self._closed

    async def wait_readable(self) -> None:
        """Wait until :meth:`recv` would not block."""
        await self._wait_for(READ)

    async def wait_writable(self) -> None:
        """Wait until :meth:`send` would not block."""
        await self._wait_for(WRITE)

    async def _wait_for(self, flag: int) -> None:
        await trio.lowlevel.checkpoint()
        while not self.readiness() & flag:
            await self._waiting.park()

    def _tell(self) -> None:
        self._waiting.unpark_all()
        self.on_change()


def pair(numbers: tuple[int, int], buffer: int) -> tuple[MemorySocket, MemorySocket]:
    """Make both ends of a connection."""
    return pair_of(MemorySocket, numbers, buffer)


def pair_of(kind: type[SocketT], numbers: tuple[int, int], buffer: int) -> tuple[SocketT, SocketT]:
    """Make both ends of a connection, of a class."""
    one, other = (kind(number, buffer) for number in numbers)
    one._peer, other._peer = other, one
    return one, other


class MemoryListener:
    """An in-memory listening socket."""

    family = socket.AF_INET

    peer_port: PeerSocket | None = None
    """The peer port of its server in a simulated cluster."""

    def __init__(self) -> None:
        self._backlog: deque[tuple[MemorySocket, tuple[str, int]]] = deque()
        self._waiting = trio.lowlevel.ParkingLot()
        self._closed = False

    def setblocking(self, flag: bool) -> None:
        assert not flag, "nothing here blocks"

    def listen(self, backlog: int) -> None:
        """Begin to listen; the backlog is unbounded."""

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 80

    def offer(self, sock: MemorySocket, address: tuple[str, int]) -> None:
        """Queue a connection for :meth:`accept`.

        Raises:
            ConnectionRefusedError: If the listener is closed.
        """
        if self._closed:
            raise error(errno.ECONNREFUSED)
        self._backlog.append((sock, address))
        self._waiting.unpark_all()

    def accept(self) -> tuple[MemorySocket, tuple[str, int]]:
        """Accept the connection that has waited longest.

        Raises:
            BlockingIOError: While no connection waits.
        """
        if not self._backlog:
            raise error(errno.EAGAIN)
        return self._backlog.popleft()

    async def wait_readable(self) -> None:
        """Wait until there is a connection to accept."""
        await trio.lowlevel.checkpoint()
        while not self._backlog:
            await self._waiting.park()

    def close(self) -> None:
        """Stop listening, and reset the connections that were not accepted."""
        self._closed = True
        for sock, _ in self._backlog:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
            sock.close()
        self._backlog.clear()


class MemoryPoller:
    """Watches the server's ends of in-memory connections, level-triggered."""

    asks_kernel = False

    def __init__(self, sockets: MutableMapping[int, MemorySocket]) -> None:
        self._sockets = sockets
        self._masks: dict[int, int] = {}
        self._doorbell = Doorbell()
        self._woken = False

    def watch(self, fd: int, mask: int) -> None:
        self._masks[fd] = mask
        self._sockets[fd].on_change = self._doorbell.ring
        self._doorbell.ring()

    add = watch

    def forget(self, fd: int) -> None:
        if self._masks.pop(fd, None) is not None:
            self._sockets[fd].on_change = ignore

    def poll(self) -> list[tuple[int, int]]:
        found = ((fd, self._sockets[fd].readiness() & (mask | GONE)) for fd, mask in self._masks.items())
        return [(fd, flags) for fd, flags in found if flags]

    async def wait(self) -> None:
        await trio.lowlevel.checkpoint()
        while not self.poll() and not self._woken:
            await self._doorbell.wait()
        self._woken = False

    def wake(self) -> None:
        self._woken = True
        self._doorbell.ring()

    def close(self) -> None:
        for fd in list(self._masks):
            self.forget(fd)


class MemoryNetwork:
    """The network on which in-memory clients find their server."""

    def __init__(self) -> None:
        self.listener: MemoryListener = MemoryListener()
        # Weak references: a link holds its own socket, and a refused connection must not stay here.
        self._sockets: WeakValueDictionary[int, MemorySocket] = WeakValueDictionary()
        self._numbers = count(FIRST_NUMBER)
        self._ports = count(FIRST_PORT)

    def make_poller(self, nursery: trio.Nursery) -> MemoryPoller:
        """Make the poller of the server's reactor."""
        return MemoryPoller(self._sockets)

    def connect(self, address: str, buffer: int) -> MemorySocket:
        """Connect to the server; return the client's end.

        Raises:
            ConnectionRefusedError: If the server no longer listens.
        """
        ours, theirs = pair((self.number(), self.number()), buffer)
        self.listener.offer(theirs, (address, next(self._ports)))
        self.add(theirs)
        return ours

    def number(self) -> int:
        """Return a number for another socket."""
        return next(self._numbers)

    def add(self, sock: MemorySocket) -> None:
        """Let the pollers of the server find a socket."""
        self._sockets[sock.fileno()] = sock
