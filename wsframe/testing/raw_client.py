"""A client's end of a connection, in raw bytes, read at the pace that the test sets."""

from __future__ import annotations

import socket
from collections.abc import Callable
from math import inf
from typing import Literal

import trio

from wsframe.doorbell import Doorbell
from wsframe.net.poller import READ
from wsframe.net.socket_options import reset_on_close
from wsframe.testing.memory_sockets import MemorySocket

__all__ = ["Line"]

# Seconds between two reads of a slow client, unless it reads less than a byte in that time.
PERIOD = 0.1
AT_ONCE = 1 << 20


class Line:
    """A connection to the server, without a handshake; made by :meth:`Kit.dial`.

    It reads all the time, like a healthy client, until the test slows or stalls it. Bytes that
    the server does not accept yet wait without a limit.
    """

    def __init__(self, sock: MemorySocket, patience: float) -> None:
        self.end: Literal["eof", "reset"] | None = None
        """How the connection ended; None while it is open."""
        self.patience = patience
        """Seconds that the methods wait before they raise trio.TooSlowError."""
        self._sock = sock
        self._unsent = bytearray()
        self._received_bytes = bytearray()
        self._pace = inf
        self._read_at = 0.0
        self._period = 0.0
        """Seconds between two reads."""
        self._doorbell = Doorbell()
        self._sock.on_change = self._doorbell.ring
        self._changed = trio.Event()
        self._read_all = False
        """Whether nothing more will arrive."""
        self._hung_up = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.end or 'connected'}>"

    # Sending

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are, without waiting."""
        self._unsent += data
        self._push()

    @property
    def unsent(self) -> int:
        """Bytes that the server has not read, in its kernel or still waiting here."""
        return len(self._unsent) + self._sock.in_flight

    def half_close(self) -> None:
        """End the sending direction of TCP and continue to read."""
        self._sock.shutdown(socket.SHUT_WR)

    def hang_up(self) -> None:
        """End TCP without a close frame and stop reading; unread bytes turn the end into a reset."""
        self._hung_up = self._read_all = True
        self._unsent.clear()
        self._sock.close()
        self._at_end("eof")

    def reset(self) -> None:
        """End TCP by a reset, as if the program had been killed."""
        reset_on_close(self._sock)
        self.hang_up()

    # Receiving

    def stall(self) -> None:
        """Stop reading until :meth:`resume`."""
        self._set_pace(0)

    def slow_down(self, bytes_per_second: float) -> None:
        """From now on, read at most this many bytes per second of trio's clock."""
        self._set_pace(bytes_per_second)

    def resume(self) -> None:
        """Read everything again as it arrives."""
        self._set_pace(inf)

    @property
    def reads_all(self) -> bool:
        """Whether the client reads everything as it arrives."""
        return self._pace == inf

    @property
    def nothing_follows(self) -> bool:
        """Whether nothing more will be read, because all has been, or the connection ended while stalled."""
        return self._read_all or (self.end is not None and not self._pace)

    async def receive_bytes(self) -> bytes:
        """Return the bytes received since the last call, at least one; ``b""`` at the end."""
        with trio.fail_after(self.patience):
            await self._until(lambda: self._received_bytes or self.nothing_follows)
        data = bytes(self._received_bytes)
        self._received_bytes.clear()
        return data

    async def ended(self) -> Literal["eof", "reset"]:
        """Wait until the server has ended the connection, and return how."""
        with trio.fail_after(self.patience):
            await self._until(lambda: self.end)
        assert self.end is not None
        return self.end

    def _set_pace(self, bytes_per_second: float) -> None:
        self._pace = bytes_per_second
        self._period = 0 if bytes_per_second in (0, inf) else max(PERIOD, 1 / bytes_per_second)
        self._read_at = trio.current_time() + self._period
        self._doorbell.ring()

    async def _until(self, condition: Callable[[], object]) -> None:
        await trio.lowlevel.checkpoint()
        while not condition():
            await self._changed.wait()

    # Reading

    async def run(self) -> None:
        """Read and write until the connection has ended; the creator of the line runs this as a task."""
        while not self._hung_up:
            self._push()
            if self._sock.broken and self._pace != inf:  # it reads slowly, but must see a reset immediately
                self._at_end("reset")
            wanted = not self._read_all and self._pace > 0 and self._sock.readiness() & READ
            if wanted and trio.current_time() >= self._read_at:
                self._read()
                await trio.lowlevel.checkpoint()
            else:
                with trio.move_on_at(self._read_at if wanted else inf):
                    await self._doorbell.wait()

    def _push(self) -> None:
        """Send as much as the kernel accepts."""
        try:
            while self._unsent:
                del self._unsent[: self._sock.send(bytes(self._unsent[:AT_ONCE]))]
        except BlockingIOError:
            return
        except OSError:  # a read will report the end
            self._unsent.clear()

    def _read(self) -> None:
        self._read_at = trio.current_time() + self._period
        try:
            data = self._sock.recv(self._share())
        except ConnectionResetError:
            self._read_all = True
            self._at_end("reset")
            return
        if data:
            self._take(data)
            self._wake()
        else:
            self._read_all = True
            self._at_end("eof")

    def _share(self) -> int:
        """Return how many bytes to read in one call."""
        return AT_ONCE if self._pace == inf else max(1, int(self._pace * self._period))

    def _take(self, data: bytes) -> None:
        """Take the bytes of a read."""
        self._received_bytes += data

    def _at_end(self, end: Literal["eof", "reset"]) -> None:
        """Record that the server has ended the connection."""
        if self.end is None:
            self.end = end
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
