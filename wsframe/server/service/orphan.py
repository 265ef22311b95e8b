"""The end of a worker that has no supervisor any more and whose event loop does not turn.

A worker drains when its supervisor has ended. If a hook computes for ever it never notices, nobody is left to
kill it, and it would hold the listening sockets: the next supervisor would wait for it. So a thread waits for the end
of the link, too, and ends the process if the drain takes too long.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import Self

from wsframe.log import Log, log_for
from wsframe.workers.runtime import remove_if_last
from wsframe.workers.worker import Worker

__all__ = ["OrphanGuard", "end_worker"]

logger: Log = log_for(__name__)

GRACE = 5.0
"""Seconds after the drain, as many as a supervisor gives."""
TELL_WITHIN = 1.0
"""Seconds for the line in the log."""


class OrphanGuard:
    """Waits for the end of the supervisor in a thread, within a ``with``.

    Args:
        link: The worker's end of its link.
        seconds: The seconds that its drain takes at most.
        end: Ends the process.
    """

    def __init__(self, link: socket.socket, seconds: float, end: Callable[[], object]) -> None:
        self._link = link
        self._seconds = seconds
        self._end = end
        self._over = Event()
        self._thread = Thread(target=self._wait, name="wsframe supervisor", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop watching: the loop has turned."""
        self._over.set()

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._link.fileno(), 0)  # only the end is of interest
        while not poll.poll(1000):
            if self._over.is_set():
                return
        if not self._over.wait(self._seconds + GRACE):
            try:
                teller = Thread(target=tell, name="wsframe log", daemon=True)
                teller.start()
                teller.join(TELL_WITHIN)  # a log that nobody reads would hold this thread for ever
            finally:
                self._end()


def tell() -> None:
    """Log the end that is to come."""
    logger.error("the supervisor has ended, and this worker has not drained in time: SIGKILL")


def end_worker(worker: Worker) -> None:
    """End this process at once, and leave nothing if it was the last one."""
    try:
        remove_if_last(worker.folder, worker.lock)
    finally:
        os.kill(os.getpid(), signal.SIGKILL)
