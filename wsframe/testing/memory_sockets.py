"""Connections in memory: sockets without a kernel, their readiness, and the place they meet.

They behave as TCP on loopback does as far as a server can see: bounded buffers on either
side, an end for each direction, resets. Nothing in them takes time, so that a test with
trio's autojump clock sees the same every time.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import MutableMapping
from itertools import count
from weakref import WeakValueDictionary

import trio

from wsframe.doorbell import Doorbell
from wsframe.net.poller import END, GONE, READ, WRITE
from wsframe.net.socket_options import LINGER_NONE

__all__ = ["BUFFER", "MemoryListener", "MemoryNetwork", "MemoryPoller", "MemorySocket"]

BUFFER = 64 * 1024
"""Octets that each of the four buffers of a connection holds, if it is not told otherwise."""

# No descriptor of the kernel's is as large: a number that went astray is an error there.
FIRST_NUMBER = 1 << 30
FIRST_PORT = 50001


def error(number: int) -> OSError:
    """Make the error that the kernel gives."""
    return OSError(number, os.strerror(number))


def ignore() -> None:
    """Do nothing about a change."""


class MemorySocket:
    """One end of a connection in memory, with a non-blocking socket's calls.

    What is sent lies with the receiver: up to ``buffer`` octets as received by its kernel, as
    many more as not yet sent by the sender's.
    """

    def __init__(self, number: int, buffer: int) -> None:
        self._number = number
        self._buffer = buffer
        self._incoming = bytearray()
        self._peer: MemorySocket
        self._ended = False
        """Whether the peer sends no more."""
        self._shut = False
        """Whether this side sends no more."""
        self._reset = False
        self._closed = False
        self._linger = True
        self._waiting = trio.lowlevel.ParkingLot()
        self.on_change = ignore
        """Called whenever the readiness may have changed."""

    @staticmethod
    def pair(numbers: tuple[int, int], buffer: int) -> tuple[MemorySocket, MemorySocket]:
        """Make both ends of a connection."""
        one, other = (MemorySocket(number, buffer) for number in numbers)
        one._peer, other._peer = other, one
        return one, other

    def __repr__(self) -> str:
        return f"<MemorySocket {self._number} [{len(self._incoming)} octets to read]>"

    # What a socket has

    def fileno(self) -> int:
        return self._number

    def setblocking(self, flag: bool) -> None:
        assert not flag, "nothing here blocks"

    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None:
        """Take any option; the one that makes a close a reset has an effect."""
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self._linger = value != LINGER_NONE

    def getsockopt(self, level: int, option: int, /) -> int:
        """Tell whether the connection is broken; every other option is off."""
        return errno.ECONNRESET if self._reset and (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR) else 0

    def recv(self, size: int, /) -> bytes:
        """Return octets, or nothing at the end.

        Raises:
            BlockingIOError: While there are none.
            ConnectionResetError: After a reset, when all that came before it has been read.
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
        """Return the octets that :meth:`recv` has to give, and leave them there."""
        return bytes(self._incoming)

    def recv_into(self, buffer: memoryview, size: int = 0, /) -> int:
        """Do as :meth:`recv` does, into a buffer."""
        data = self.recv(size or len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def send(self, data: bytes | memoryview, /) -> int:
        """Hand over octets; return how many were taken.

        Raises:
            BlockingIOError: While the buffers are full.
            BrokenPipeError: After a reset, or the end of this direction.
        """
        if self._closed:
            raise error(errno.EBADF)
        if self._reset or self._shut:
            raise error(errno.EPIPE)
        peer = self._peer
        if peer._closed:  # a kernel takes them all the same, and answers with a reset
            self._be_reset()
            return len(data)
        room = peer._buffer + self._buffer - self.in_flight
        if not room:
            raise error(errno.EAGAIN)
        taken = data[:room]
        peer._incoming += taken
        peer._tell()
        return len(taken)

    def unsent(self) -> int:
        """Return the octets that this side's kernel still holds."""
        return max(0, self.in_flight - self._peer._buffer)

    @property
    def in_flight(self) -> int:
        """Return the octets sent that the peer has not read."""
        return len(self._peer._incoming)

    @property
    def broken(self) -> bool:
        """Whether the connection has been reset."""
        return self._reset

    def shutdown(self, how: int, /) -> None:
        """Send no more."""
        assert how == socket.SHUT_WR, "the other direction is never shut alone"
        if self._reset or self._closed:
            raise error(errno.ENOTCONN)
        self._shut = self._peer._ended = True
        self._peer._tell()
        self._tell()

    def close(self) -> None:
        """End both directions: by a reset if that was asked for, or if there is something unread."""
        if self._closed:
            return
        self._closed = True
        if self._incoming or not self._linger:
            self._peer._be_reset()
        self._incoming.clear()
        self._peer._ended = True
        self._peer._tell()
        self._tell()

    def _be_reset(self) -> None:
        self._reset = True
        del self._incoming[self._buffer :]  # the sender's kernel throws away what it has not sent
        self._tell()

    # Readiness

    def readiness(self) -> int:
        """Return the poller's flags for what would not block now."""
        flags = 0
        if self._incoming or self._ended or self._reset or self._closed:
            flags |= READ
        # Linux calls a socket writable when a third of the buffer is free.
        if self._reset or self._closed or self._shut or 3 * self.unsent() <= 2 * self._buffer:
            flags |= WRITE
        if self.has_ended():
            flags |= END
        if self._reset or (self._ended and self._shut):
            flags |= GONE
        return flags

    def has_ended(self) -> bool:
        """Tell whether the peer sends no more, or has gone."""
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


class MemoryListener:
    """A listening socket in memory."""

    family = socket.AF_INET

    def __init__(self) -> None:
        self._backlog: deque[tuple[MemorySocket, tuple[str, int]]] = deque()
        self._waiting = trio.lowlevel.ParkingLot()
        self._closed = False

    def setblocking(self, flag: bool) -> None:
        assert not flag, "nothing here blocks"

    def listen(self, backlog: int) -> None:
        """Begin to listen; the backlog has no bound."""

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 80

    def offer(self, sock: MemorySocket, address: tuple[str, int]) -> None:
        """Have a connection accepted.

        Raises:
            ConnectionRefusedError: If nobody listens any more.
        """
        if self._closed:
            raise error(errno.ECONNREFUSED)
        self._backlog.append((sock, address))
        self._waiting.unpark_all()

    def accept(self) -> tuple[MemorySocket, tuple[str, int]]:
        """Accept the connection that has waited longest.

        Raises:
            BlockingIOError: While there is none.
        """
        if not self._backlog:
            raise error(errno.EAGAIN)
        return self._backlog.popleft()

    async def wait_readable(self) -> None:
        """Wait until there is somebody to accept."""
        await trio.lowlevel.checkpoint()
        while not self._backlog:
            await self._waiting.park()

    def close(self) -> None:
        """Listen no more; who has not been accepted is reset."""
        self._closed = True
        for sock, _ in self._backlog:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
            sock.close()
        self._backlog.clear()


class MemoryPoller:
    """Watches the server's ends of connections in memory, level-triggered."""

    def __init__(self, sockets: MutableMapping[int, MemorySocket]) -> None:
        self._sockets = sockets
        self._masks: dict[int, int] = {}
        self._doorbell = Doorbell()

    def watch(self, fd: int, mask: int) -> None:
        self._masks[fd] = mask
        self._sockets[fd].on_change = self._doorbell.ring
        self._doorbell.ring()

    def forget(self, fd: int) -> None:
        if self._masks.pop(fd, None) is not None:
            self._sockets[fd].on_change = ignore

    def poll(self) -> list[tuple[int, int]]:
        found = ((fd, self._sockets[fd].readiness() & (mask | GONE)) for fd, mask in self._masks.items())
        return [(fd, flags) for fd, flags in found if flags]

    async def wait(self) -> None:
        await trio.lowlevel.checkpoint()
        while not self.poll():
            await self._doorbell.wait()

    def close(self) -> None:
        for fd in list(self._masks):
            self.forget(fd)


class MemoryNetwork:
    """Where clients in memory find their server."""

    def __init__(self) -> None:
        self.listener = MemoryListener()
        # Weakly: a link holds its own socket, and who is refused should not stay.
        self._sockets: WeakValueDictionary[int, MemorySocket] = WeakValueDictionary()
        self._numbers = count(FIRST_NUMBER)
        self._ports = count(FIRST_PORT)

    def make_poller(self, nursery: trio.Nursery) -> MemoryPoller:
        """Make the poller of the server's reactor."""
        return MemoryPoller(self._sockets)

    def connect(self, address: str, buffer: int) -> MemorySocket:
        """Connect to the server; return the client's end.

        Raises:
            ConnectionRefusedError: If the server does not listen any more.
        """
        ours, theirs = MemorySocket.pair((next(self._numbers), next(self._numbers)), buffer)
        self.listener.offer(theirs, (address, next(self._ports)))
        self._sockets[theirs.fileno()] = theirs
        return ours
