"""The relay of a service without an engine: one loop over the streams of all workers.

For a single message a task would cost more than the work: trio registers the socket with the kernel for each wait, and
schedules tasks. This loop asks the kernel which streams are ready, reads those, and writes. It waits for nothing else:
if a worker does not read, the loop writes the rest once the kernel has room.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from math import inf

from wsframe.backplane.hub import Hub
from wsframe.backplane.queue import LIMIT
from wsframe.backplane.relay.stream import READ, WriteTurn
from wsframe.backplane.relay.worker import RelayWorker
from wsframe.log import Log, log_for

__all__ = ["BEAT", "SWEEP", "RelayLoop"]

logger: Log = log_for(__name__)

SWEEP = 5.0
"""Seconds between two looks for histories that are too old."""
BEAT = 0.25
"""Seconds between two beats: two for each look of the supervisor."""
READABLE, WRITABLE = 0x001, 0x004
"""Flags of epoll, which other systems do not have."""


class WorkerStream:
    """The stream of one worker.

    Args:
        loop: The loop that serves it.
        sock: The connected socket.
        hub: Has the topics of all workers.
        limit: Bytes that wait for the worker before messages are dropped.
    """

    def __init__(self, loop: RelayLoop, sock: socket.socket, hub: Hub, limit: int) -> None:
        self.fd: int = sock.fileno()
        self.worker: RelayWorker = RelayWorker(hub, limit, loop.turn, self._wait_for_room)
        self._sock = sock
        self._epoll = loop.epoll
        self._waits = False
        """Whether the loop writes once there is room."""
        self._epoll.register(self.fd, READABLE)
        self.worker.outgoing.go_on(self.fd)

    def _wait_for_room(self) -> None:
        """Have the loop write, once the kernel has room."""
        if not self._waits and self.fd >= 0:
            self._waits = True
            self._epoll.modify(self.fd, READABLE | WRITABLE)

    def go_on(self) -> None:
        """Write all that waits, as far as the kernel takes it.

        Raises:
            Exception: If it cannot be made.
        """
        if self.worker.outgoing.go_on(self.fd):
            self._waits = False
            self._epoll.modify(self.fd, READABLE)

    def close(self) -> None:
        """Close the stream."""
        self.worker.outgoing.stop()
        self._epoll.unregister(self.fd)
        self._sock.close()
        self.fd = -1
        self.worker.detach()


class RelayLoop:
    """Serves the workers that connect.

    Args:
        listener: A listening unix socket that does not block.
        hub: Has their topics.
        limit: Bytes that wait for a worker before messages are dropped.
        life: A socket whose other end the supervisor has; after its end the relay leaves with the last worker.
        beat: Called each quarter of a second.
    """

    def __init__(
        self,
        listener: socket.socket,
        hub: Hub,
        *,
        limit: int = LIMIT,
        life: socket.socket | None = None,
        beat: Callable[[], object] = lambda: None,
    ) -> None:
        self.epoll: select.epoll = select.epoll()
        self.turn: WriteTurn = WriteTurn()
        """The work between two waits."""
        self._listener = listener
        self._hub = hub
        self._limit = limit
        self._life = life
        self._left = False
        """Whether the supervisor has gone."""
        self._beat = beat
        self._lines: dict[int, WorkerStream] = {}
        self._room = memoryview(bytearray(READ))
        self._sweep_at = -inf

    def run(self) -> None:
        """Serve until the supervisor and all workers have gone."""
        with self.epoll:
            self.epoll.register(self._listener.fileno(), READABLE)
            if self._life is not None:
                self.epoll.register(self._life.fileno(), READABLE)
            try:
                self._run()
            finally:
                for line in tuple(self._lines.values()):
                    self._close(line)

    def _run(self) -> None:
        poll, turn, lines, due = self.epoll.poll, self.turn, self._lines, -inf
        while lines or not self._left:
            now = time.monotonic()
            if now >= due:
                due = now + BEAT
                self._tick(now)
            events = poll(due - now)
            with turn:
                for fd, flags in events:
                    line = lines.get(fd)
                    if line is not None:
                        self._serve(line, flags)
                    else:
                        self._take_other(fd)

    def _serve(self, line: WorkerStream, flags: int) -> None:
        """Read from a stream, or write to it; an error costs this worker its stream, and no other."""
        try:
            if flags & WRITABLE:
                line.go_on()
            if flags != WRITABLE:
                size = os.readv(line.fd, (self._room,))
                if size:
                    line.worker.receive(bytes(self._room[:size]))
                else:
                    self._close(line)
        except BlockingIOError:
            pass
        except Exception as error:
            line.worker.fail(error)
            self._close(line)

    def _close(self, line: WorkerStream) -> None:
        del self._lines[line.fd]
        line.close()

    def _take_other(self, fd: int) -> None:
        """Accept a worker, or note the end of the supervisor; a stream can have been closed in this turn."""
        if fd == self._listener.fileno():
            self._accept()
        elif self._life is not None and fd == self._life.fileno():
            self._left = True
            self.epoll.unregister(fd)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            logger.error("no worker can connect: %s", error, kind="accept")
            self.epoll.modify(self._listener.fileno(), 0)  # until the next beat: the loop would turn in vain
            return
        sock.setblocking(False)
        line = WorkerStream(self, sock, self._hub, self._limit)
        self._lines[line.fd] = line

    def _tick(self, now: float) -> None:
        """Do the work that is due now and then."""
        self._beat()
        self.epoll.modify(self._listener.fileno(), READABLE)
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP
            self._hub.sweep()
