"""A conversation of two processes about sockets that go from one to the other.

It is a pair of unix sockets that keeps message boundaries. The messages are short JSON documents, and carry
descriptors. ``cut`` ends it at one moment for both sides: a message that the other side has sent by then is still
received, and sending any later one fails. So each side knows which message was the last one.
"""

from __future__ import annotations

import array
import errno
import json
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import trio

__all__ = ["LONGEST", "LostMessage", "OtherSideGone", "Received", "SocketExchange", "make_exchange"]

LONGEST = 16_384
"""Bytes of a message at most; all that is longer goes into files."""
MOST_DESCRIPTORS = 32
NO_ROOM: set[int] = {errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, getattr(errno, "ETOOMANYREFS", errno.EAGAIN)}
DONT_WAIT = getattr(socket, "MSG_DONTWAIT", 0)
CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)
AGAIN = 0.01
"""Seconds before another attempt with a message that the kernel refuses although the socket has room, because too many
descriptors of this user are on their way."""


class OtherSideGone(Exception):
    """The other side has ended the conversation, or is not a process of this user."""


class LostMessage(OtherSideGone):
    """A message has come without its descriptors, or is not valid; others can come after it."""


class Received(NamedTuple):
    """A message, with its descriptors, which belong to the receiver."""

    document: Any
    descriptors: list[int]


def make_exchange() -> tuple[SocketExchange, socket.socket]:
    """Make a conversation; return this side of it, and the socket to pass to the other process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return SocketExchange(ours), theirs


class SocketExchange:
    """One side of a conversation.

    Args:
        sock: A SOCK_SEQPACKET socket, which belongs to the conversation from now on.

    Raises:
        OtherSideGone: If the socket is from a process of another user.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        sock.setblocking(False)
        if hasattr(socket, "SO_PEERCRED"):
            _, user, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if user != os.geteuid():
                sock.close()
                raise OtherSideGone(f"the other side is a process of user {user}, not {os.geteuid()}")

    def send_now(self, document: object, descriptors: Sequence[int] = ()) -> bool:
        """Send a message without waiting; return False if there is no room.

        Raises:
            OtherSideGone: If nobody can receive it any more.
        """
        data = json.dumps(document, separators=(",", ":")).encode()
        if len(data) > LONGEST:
            raise ValueError(f"a message has at most {LONGEST} bytes, not {len(data)}")
        ancillary = []
        if descriptors:
            ancillary.append((socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors)))
        try:
            self._sock.sendmsg([data], ancillary, DONT_WAIT | NO_SIGNAL)
        except OSError as error:
            if error.errno in NO_ROOM:
                return False
            raise OtherSideGone(f"the other process has ended the conversation ({error.strerror})") from error
        return True

    async def send(self, document: object, descriptors: Sequence[int] = ()) -> None:
        """Send a message once there is room.

        Raises:
            OtherSideGone: If nobody can receive it any more.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self.send_now(document, descriptors):  # noqa: ASYNC110
            await trio.sleep(AGAIN)

    def receive_now(self) -> Received | None:
        """Receive the next message without waiting; None if there is none.

        Raises:
            OtherSideGone: If no more will come.
            LostMessage: If it is not a valid message.
        """
        space = socket.CMSG_SPACE(MOST_DESCRIPTORS * array.array("i").itemsize)
        for _ in range(2):
            try:
                data, ancillary, flags, _ = self._sock.recvmsg(LONGEST, space, DONT_WAIT | CLOSE_ON_EXEC)
                break
            except BlockingIOError:
                return None
            except ConnectionResetError:  # it left messages of ours unread; its own are still here
                continue
            except OSError as error:
                raise OtherSideGone(f"the other process has ended the conversation ({error.strerror})") from error
        else:
            return None
        numbers = array.array("i")
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
        try:
            if not data:
                raise OtherSideGone("the other process has ended the conversation")
            if flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC):
                raise LostMessage("a message came without its descriptors, or was cut off")
            return Received(json.loads(data), list(numbers))
        except (ValueError, OtherSideGone) as error:
            for number in numbers:
                os.close(number)
            if isinstance(error, OtherSideGone):
                raise
            raise LostMessage(str(error)) from error

    async def receive(self) -> Received:
        """Wait for the next message.

        Raises:
            OtherSideGone: If no more will come.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            received = self.receive_now()
            if received is not None:
                return received
            await trio.lowlevel.wait_readable(self._sock)

    def cut(self) -> None:
        """Have every later message of the other side fail; those sent by now are still received here."""
        self._sock.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """End the conversation."""
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()
