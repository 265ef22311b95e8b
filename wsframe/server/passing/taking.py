"""Taking the newcomers that other workers pass, out of the door of this worker."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from wsframe.doorbell import Doorbell
from wsframe.log import Log, log_for
from wsframe.server.newcomers.newcomer import Newcomer
from wsframe.server.sockets.listen import Bound, WaitingNewcomers, peer_address
from wsframe.workers.door import LostDescriptor, has_headroom, take

__all__ = ["Counts", "Taker"]

logger: Log = log_for(__name__)

AT_ONCE: Final = 64
PAUSE: Final = 0.1
"""Seconds without descriptors until the next look at the door."""
WAIT_FOR_ROOM: Final = 0.25


@dataclass(slots=True)
class Counts:
    """The newcomers that a worker has passed on, has taken from others, and that were lost in its door."""

    passed: int = 0
    taken: int = 0
    lost: int = 0


class Taker:
    """Takes newcomers out of the door of this worker, for as long as there is room for them.

    Args:
        door: The receiving end.
        places: The listening sockets, with their settings, by number.
        waiting: The newcomers under way, for which there must be room.
        welcome: Takes each newcomer.
        counts: Counts them.
    """

    def __init__(
        self,
        door: socket.socket,
        places: Sequence[Bound],
        waiting: WaitingNewcomers,
        welcome: Callable[[Newcomer], object],
        counts: Counts,
    ) -> None:
        self._door = door
        self._places = places
        self._waiting = waiting
        self._welcome = welcome
        self._counts = counts
        self.room: Doorbell = Doorbell()
        """Ring it when there is room again."""
        self.scope: trio.CancelScope = trio.CancelScope()
        """Cancel it to take no more."""

    async def run(self) -> None:
        """Take until cancelled."""
        with self.scope:
            await self._run()

    async def _run(self) -> None:
        while True:
            while not self._waiting.has_room():
                self._waiting.make_room()
                with trio.move_on_after(WAIT_FOR_ROOM):
                    await self.room.wait()
            await trio.lowlevel.wait_readable(self._door)
            for _ in range(AT_ONCE):
                if not self._waiting.has_room():
                    break
                if not has_headroom(self._door.fileno()):
                    logger.error("too few descriptors are left for newcomers of other workers", kind="descriptors")
                    await trio.sleep(PAUSE)
                    break
                try:
                    if not self._take():
                        break
                except EOFError:
                    logger.error("the door of this worker has been closed")
                    return

    def _take(self) -> bool:
        """Take one newcomer; return whether another one can be there.

        Raises:
            EOFError: If none can come any more.
        """
        try:
            found = take(self._door)
        except LostDescriptor as error:
            self._counts.lost += 1
            logger.error("a newcomer of another worker is lost: %s", error, kind="lost")
            return True
        if found is None:
            return False
        sock, passed = found
        try:
            host, port = ("", 0) if passed.forwarded else peer_address(sock.getpeername())
        except OSError:  # it has gone
            sock.close()
            return True
        newcomer = Newcomer(sock, host, port, self._places[passed.place])
        newcomer.partition = passed.partition
        newcomer.passed = True
        newcomer.forwarded = passed.forwarded
        newcomer.since -= max(0.0, time.monotonic() - passed.accepted)
        self._counts.taken += 1
        self._welcome(newcomer)
        return True
