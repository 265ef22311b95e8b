"""One end of the link between the supervisor and a worker: it sends and receives messages, in order.

Sending never waits: the process at the other end can be stopped. The messages wait here until the kernel takes them.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import Any

import trio

from wsframe.doorbell import Doorbell
from wsframe.workers.orders import LONGEST, ControlMessage, decode_message, encode_message

__all__ = ["ControlSocket", "make_control_sockets"]


def make_control_sockets() -> tuple[socket.socket, socket.socket]:
    """Make the two sockets of a link: the supervisor's, the worker's."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class ControlSocket:
    """One end of a link.

    Args:
        sock: Its socket, which the control socket then owns.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._waiting: deque[bytes] = deque()
        self._bell = Doorbell()

    def say(self, name: str, **fields: Any) -> None:
        """Send a message of the table, now or as soon as there is room; nothing where the other end has gone."""
        self._waiting.append(encode_message(name, **fields))
        if not self._send():
            self._bell.ring()

    def _send(self) -> bool:
        """Send waiting messages, as far as the kernel takes them; return whether these were all."""
        while self._waiting:
            try:
                self._sock.send(self._waiting[0], getattr(socket, "MSG_NOSIGNAL", 0))
            except BlockingIOError:
                return False
            except OSError:  # the other end has gone
                self._waiting.clear()
                return True
            self._waiting.popleft()
        return True

    async def send_waiting(self) -> None:
        """Send waiting messages, until cancelled."""
        while True:
            while not self._send():
                await trio.lowlevel.wait_writable(self._sock)
            await self._bell.wait()

    async def hear(self) -> ControlMessage | None:
        """Wait for a message of the other end; None once that has gone.

        Raises:
            ValueError: For bytes that are not a message.
        """
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                data = self._sock.recv(LONGEST)
            except BlockingIOError:
                continue
            except OSError:
                return None
            return decode_message(data) if data else None

    def heard(self) -> ControlMessage | None:
        """Return a message that is here already; None if there is none.

        Raises:
            ValueError: For bytes that are not a message.
        """
        try:
            data = self._sock.recv(LONGEST)
        except OSError:  # BlockingIOError is one: a process that holds the other end says nothing more
            return None
        return decode_message(data) if data else None

    def close(self) -> None:
        """Close the socket."""
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()
