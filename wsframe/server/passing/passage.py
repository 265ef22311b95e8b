"""Passing newcomers to the worker where their resource lives, which takes them out of its door (``taking``).

The worker that accepts a newcomer peeks at its head: the bytes stay in the socket. If the resource lives in another
worker, its descriptor goes through the door of that one, which admits it from the first byte on as if it had
accepted it. From then on nothing is in between, except for newcomers with TLS (``forwarding``).

Nothing here waits for another worker. Where a door has no room, its worker is frozen, starting, or has as many
newcomers as it takes: the newcomer is parked until its handshake is due. It does not count among those under way, so
that a late worker does not block the others, but it takes a place of the service; the last places are for newcomers of
other workers. A newcomer is passed once: it never comes from a door and goes through another.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import Final

import trio

from wsframe.http.responses import RETRY_AFTER, Reject
from wsframe.log import Log, log_for
from wsframe.net.sockets import has_ended, notify_closing, wait_readable
from wsframe.net.transport import FAREWELL
from wsframe.server.capacity import Places
from wsframe.server.newcomers.newcomer import Gone, Newcomer
from wsframe.server.newcomers.pending import Pending
from wsframe.server.passing.carried import Carried
from wsframe.server.passing.destination import Signpost
from wsframe.server.passing.forwarding import Forwarding, receive_head
from wsframe.server.passing.taking import Counts
from wsframe.workers.door import Passed, give, has_headroom
from wsframe.workers.partitions import EVERYWHERE
from wsframe.workers.worker import Worker

__all__ = ["Passage"]

logger: Log = log_for(__name__)

PARKED: Final = "parked"
"""The place of newcomers that wait for room in a door."""
FIRST_LOOK: Final = 4096
"""Bytes of the first look at a newcomer: few heads have more."""
LOOK_AGAIN: Final = 0.01
"""Seconds between two looks for room in a door."""
SHORTEST_LOOK, LONGEST_LOOK = 0.001, 0.05
"""Seconds between two looks at a unix socket, for which the kernel does not report that more has come."""


class Passage:
    """The way of newcomers from this worker to the others.

    Args:
        worker: This worker, with the doors of all.
        signpost: Names the partition of a newcomer.
        places: The places of the service, which parked newcomers take.
        pending: The newcomers under way.
        carried: The connections that this worker carries for others.
    """

    def __init__(self, worker: Worker, signpost: Signpost, places: Places, pending: Pending, carried: Carried) -> None:
        self._doors = worker.doors
        self._signpost = signpost
        self._placement = signpost.placement
        self._places = places
        self._pending = pending
        self._forwarding = Forwarding(carried, signpost)
        self._parked: list[dict[Newcomer, trio.Event]] = [{} for _ in worker.doors]
        """By slot, in order of arrival; each has its turn once those before it have gone."""
        self.counts: Counts = Counts()

    def parked(self) -> list[Newcomer]:
        """Return the newcomers that wait for room in a door."""
        return [newcomer for waiting in self._parked for newcomer in waiting]

    def is_here_at_once(self, newcomer: Newcomer) -> bool:
        """Return whether a newcomer belongs here; pass it on if not, if its head and room in the door are here."""
        assert isinstance(newcomer.sock, socket.socket)
        if newcomer.place.tls is not None:
            return False
        try:
            received = newcomer.sock.recv(FIRST_LOOK, socket.MSG_PEEK)
        except OSError:  # nothing is here, or the connection is broken
            return False
        newcomer.partition = self._signpost.partition_of(newcomer.place, newcomer.host, received) if received else None
        if newcomer.partition is None:
            return False
        here = self._is_here(newcomer)
        if not here:
            self._pass(newcomer)
        return here

    def _is_here(self, newcomer: Newcomer) -> bool:
        """Return whether a newcomer belongs to this worker, also if it has to wait here for its partition."""
        assert newcomer.partition is not None
        here = self._placement.slot_of(newcomer.partition) == self._placement.slot
        return here and not self._placement.has_left(newcomer.partition)

    async def passes(self, newcomer: Newcomer) -> bool:
        """Wait for the head of a newcomer, and pass it on; return False if it belongs here.

        Raises:
            Reject: 503 if there is no room for it until its handshake is due.
            Gone: If its peer goes in the meantime.
            MalformedProxyHeader: For a wrong PROXY header before TLS.
            OSError: If its TLS handshake fails.
        """
        if newcomer.place.tls is not None:
            return await self._forwards(newcomer)
        if newcomer.partition is None:
            newcomer.partition = await self._find_partition(newcomer)
        if self._is_here(newcomer):
            return False
        newcomer.transport.heard = newcomer.head_received = True
        notify_closing(newcomer.sock)  # a poller that kept its number would soon watch another connection
        if not self._pass(newcomer):
            await self._park(newcomer)
        return True

    async def _forwards(self, newcomer: Newcomer) -> bool:
        """Do the same for a newcomer with TLS: if it is passed on, this worker carries it."""
        if not await receive_head(newcomer, self._signpost):
            return True
        if self._is_here(newcomer):
            return False
        newcomer.head_received = True
        with self._forwarding.pair(newcomer):
            if not self._pass(newcomer):
                await self._park(newcomer)
        return True

    async def _find_partition(self, newcomer: Newcomer) -> int:
        """Peek at a newcomer until its head is whole."""
        sock, seen, pause, size = newcomer.sock, 0, SHORTEST_LOOK, FIRST_LOOK
        assert isinstance(sock, socket.socket)
        waker = LowWater(sock)
        try:
            while True:
                try:
                    received = sock.recv(size, socket.MSG_PEEK)
                except BlockingIOError:
                    await wait_readable(sock)
                    continue
                partition = self._signpost.partition_of(newcomer.place, newcomer.host, received)
                if partition is not None or not received:
                    return EVERYWHERE if partition is None else partition
                if len(received) == size:
                    size = self._signpost.most
                elif len(received) == seen or not waker.works:
                    if has_ended(sock):
                        return EVERYWHERE
                    await trio.sleep(pause)
                    pause = min(2 * pause, LONGEST_LOOK)
                else:
                    await waker.beyond(len(received))
                seen = len(received)
        except OSError:
            return EVERYWHERE
        finally:
            waker.reset()

    def _pass(self, newcomer: Newcomer) -> bool:
        """Send a newcomer through its door, if nobody waits there before it."""
        assert newcomer.partition is not None
        slot = self._placement.slot_of(newcomer.partition)
        return not self._parked[slot] and self._give(newcomer, slot)

    def _give(self, newcomer: Newcomer, slot: int) -> bool:
        sock, partition = newcomer.passing or newcomer.sock, newcomer.partition
        assert isinstance(sock, socket.socket)
        assert partition is not None
        accepted = time.monotonic() - (trio.current_time() - newcomer.since)
        passed = Passed(accepted, newcomer.place.number, partition, newcomer.passing is not None)
        if not give(self._doors[slot], sock, passed):
            return False
        newcomer.handed_over = True
        self.counts.passed += 1
        sock.close()
        return True

    async def _park(self, newcomer: Newcomer) -> None:
        """Wait for room in a door, in order of arrival."""
        assert newcomer.partition is not None
        slot = self._placement.slot_of(newcomer.partition)
        waiting = self._parked[slot]
        if self._places.scarce or not has_headroom(newcomer.sock.fileno()):
            raise Reject(503, [RETRY_AFTER], "too many wait for another worker")
        place = self._places.reserve("", PARKED, None)  # its own address can stand in a head that is not read here
        due, newcomer.scope.deadline = newcomer.scope.deadline, newcomer.scope.deadline + FAREWELL
        turn = waiting[newcomer] = trio.Event()
        self._pending.leave(newcomer)
        try:
            with trio.move_on_at(due):
                if len(waiting) > 1:
                    await turn.wait()
                while not self._give(newcomer, slot):
                    if has_ended(newcomer.sock):
                        raise Gone
                    await trio.sleep(LOOK_AGAIN)
                return
        finally:
            del waiting[newcomer]
            self._pending.away.pop(newcomer)
            place.release()
            if waiting:
                next(iter(waiting.values())).set()
        raise Reject(503, [RETRY_AFTER], "another worker takes no newcomers")


class LowWater:
    """Has the kernel report only more bytes than have been seen already.

    Args:
        sock: A socket; the kernel tells of every byte of unix streams all the same.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._set = False
        self.works: bool = sock.family != getattr(socket, "AF_UNIX", None)

    async def beyond(self, count: int) -> None:
        """Wait for more than this many bytes, or for the end."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count + 1)
        self._set = True
        await wait_readable(self._sock)

    def reset(self) -> None:
        """Have it report each byte again."""
        if self._set:
            with suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
