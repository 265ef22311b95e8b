"""Doors: the way of accepted sockets to the worker in which their resource lives.

A door is a pair of unix sockets for one slot. The supervisor makes it and keeps both ends, every worker has the
sending end, and the worker of the slot has the receiving end. So newcomers that wait in a door outlive the worker:
its successor takes them. Each message is one newcomer: its descriptor, and 17 bytes about it. The newcomer's own
bytes stay in its socket, unread.

Nothing here waits. Where a door has no room, or too many descriptors of this user are on their way, ``give``
returns False.
"""

from __future__ import annotations

import array
import errno
import os
import socket
import struct
import sys
from typing import NamedTuple

__all__ = ["HEADROOM", "LostDescriptor", "Passed", "give", "has_headroom", "make_door", "take"]

HEADROOM = 64
"""Descriptors that a worker keeps free: one that arrives at its limit is lost, and its connection with it."""

# Time of accept, listening socket, partition, whether it is forwarded, format.
FORM = struct.Struct("<dHh?H")
FORMAT = 3
NO_ROOM = {
    errno.EAGAIN,
    errno.ENOBUFS,
    errno.ENOMEM,
    errno.ETOOMANYREFS if hasattr(errno, "ETOOMANYREFS") else errno.EAGAIN,
    errno.EPIPE,  # the supervisor is gone, and with it the service
    errno.ECONNREFUSED,
    errno.ECONNRESET,
}
DONT_WAIT = getattr(socket, "MSG_DONTWAIT", 0)
CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)  # a child process would keep the connection open for ever
ROOM = 64  # for a message of another format too
SEVERAL = 4  # descriptors in one message: more than the one there is, so that a wrong message shows


class LostDescriptor(Exception):
    """A message came without its descriptor, or is not one of a door: a connection has been lost."""


class Passed(NamedTuple):
    """A newcomer on its way through a door."""

    accepted: float
    """The moment of its accept by ``time.monotonic()``, a clock that all processes of a machine share."""
    place: int
    """The number of the listening socket that it came to."""
    partition: int
    """The partition of its path."""
    forwarded: bool = False
    """Whether the descriptor is the end of a pair of sockets: the worker that accepted it keeps the newcomer's,
    and decrypts."""


def make_door() -> tuple[socket.socket, socket.socket]:
    """Make a door; return its sending end and its receiving end, neither of which waits.

    Raises:
        OSError: On a system that has no such sockets.
    """
    if not hasattr(socket, "AF_UNIX") or not hasattr(socket, "SOCK_SEQPACKET"):
        raise OSError(errno.EAFNOSUPPORT, "this system cannot pass sockets between processes")
    sending, receiving = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (sending, receiving):
        end.setblocking(False)
    return sending, receiving


def give(door: socket.socket, sock: socket.socket, passed: Passed) -> bool:
    """Send a newcomer through a door; return False if there is no room now.

    The socket stays open here, and its owner closes it: no poller of this process must watch it any more.
    """
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [sock.fileno()]))]
    try:
        door.sendmsg([FORM.pack(*passed, FORMAT)], ancillary, DONT_WAIT)
    except OSError as error:
        if error.errno in NO_ROOM:
            return False
        raise
    return True


def take(door: socket.socket) -> tuple[socket.socket, Passed] | None:
    """Take the next newcomer out of a door, its socket set not to block; None if nobody waits there.

    Raises:
        LostDescriptor: If its connection has been lost on the way.
        EOFError: If all sending ends have been closed.
    """
    space = socket.CMSG_SPACE(SEVERAL * array.array("i").itemsize)
    try:
        data, ancillary, flags, _ = door.recvmsg(ROOM, space, DONT_WAIT | CLOSE_ON_EXEC)
    except BlockingIOError:
        return None
    numbers = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
    if not data and not numbers:
        raise EOFError("a door has no sending end any more")
    if flags & socket.MSG_CTRUNC or len(numbers) != 1 or len(data) != FORM.size or FORM.unpack(data)[-1] != FORMAT:
        for number in numbers:
            os.close(number)
        reason = "it came without its descriptor" if flags & socket.MSG_CTRUNC else "it is not one of a door"
        raise LostDescriptor(reason)
    sock = socket.socket(fileno=numbers[0])
    sock.setblocking(False)
    return sock, Passed(*FORM.unpack(data)[:-1])


def has_headroom(descriptor: int) -> bool:
    """Return whether this process can have many more descriptors, so that none that arrives is lost.

    Args:
        descriptor: Any open one: a duplicate of it shows the lowest number that is free.
    """
    if sys.platform == "win32":
        return True
    import resource

    try:
        lowest = os.dup(descriptor)
    except OSError:
        return False
    os.close(lowest)
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit == resource.RLIM_INFINITY or lowest + HEADROOM < limit
