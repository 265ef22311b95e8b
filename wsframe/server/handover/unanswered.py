"""Newcomers without an answer in the old worker of a rolling restart: the new worker answers them.

They go through the lineage (``predecessor``), one message each: ``["newcomer", accepted, listening socket,
partition, passed, forwarded]``, with the socket, and a state if the old worker has read the request or a part of it.
One whose bytes are still in its socket is like one that the new worker has accepted. For one about which user code was
asked, the new object is asked from the beginning, and its handshake has the whole time again.

Not those with TLS that this worker has begun to decrypt, nor those with a certificate or a part of a request after a
PROXY header. A request for a page stays as well, because its handler can have done something: it has the time in which
clients leave.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence

import trio

from wsframe.connection.freeze import freeze_request, thaw_request
from wsframe.connection.frozen_document import request_document, request_of
from wsframe.log import Log, log_for
from wsframe.net.sockets import notify_closing
from wsframe.net.transport import FAREWELL
from wsframe.server.newcomers.decide import stopping
from wsframe.server.newcomers.newcomer import Newcomer
from wsframe.server.newcomers.seat import Seat
from wsframe.server.sockets.listen import Bound, peer_address
from wsframe.workers.socket_exchange import OtherSideGone, Received, SocketExchange
from wsframe.workers.state_file import open_parcel, pack_parcel, read_file, written_file

__all__ = ["Arrivals", "Unanswered", "check_in_time", "is_newcomer"]

logger: Log = log_for(__name__)

NAME = "newcomer"
HEAD_PATIENCE = 0.25
"""Seconds from its arrival in which a newcomer has to have sent its request once the drain has begun."""


class Unanswered:
    """The newcomers of one server that have no answer yet when it leaves."""

    lineage: SocketExchange | None = None
    """Leads to the next generation of this worker, once this one leaves."""

    def __init__(self) -> None:
        self.seats: dict[Newcomer, Seat] = {}
        """The newcomers about which a resource is asked."""

    def vacate(self) -> None:
        """Give back the seats of those that are late: no life waits for user code that takes no cancellation."""
        for newcomer, seat in self.seats.items():
            if not newcomer.answered:
                seat.give_back()

    def hurry(self, newcomers: Iterable[Newcomer], answer_by: float, pages_by: float) -> None:
        """Set the times at which newcomers are cut off, in a drain.

        Args:
            newcomers: The newcomers on the way in.
            answer_by: For those whose request is whole, or whose bytes only this worker has.
            pages_by: For those that ask for a page.
        """
        for newcomer in newcomers:
            if newcomer.for_page:
                newcomer.scope.deadline = min(newcomer.scope.deadline, pages_by)
                continue
            stays = self.lineage is not None and not self._can_go(newcomer)
            head_by = newcomer.since + HEAD_PATIENCE
            newcomer.scope.deadline = answer_by if newcomer.head_received or stays else min(head_by, answer_by)

    def _can_go(self, newcomer: Newcomer) -> bool:
        """Return whether all that a newcomer has sent can go to the next generation."""
        request = newcomer.request
        if newcomer.for_page or newcomer.spliced or newcomer.transport.secure:
            return False
        if request is not None:
            return request.peer_certificate_der is None
        wrapped = newcomer.place.tls is not None or newcomer.place.proxy_protocol or newcomer.forwarded
        return newcomer.unread or (newcomer.begun and not wrapped)

    async def goes_on(self, newcomer: Newcomer) -> bool:
        """Send a newcomer to the next generation; return False if there is none, or it cannot go there."""
        sock, request = newcomer.sock, newcomer.request
        if self.lineage is None or not isinstance(sock, socket.socket) or not self._can_go(newcomer):
            return False
        accepted = time.monotonic() - (trio.current_time() - newcomer.since)
        begun = b"" if newcomer.head is None or request is not None else newcomer.head.begun_with
        passed = newcomer.passed or request is not None or bool(begun)
        document = [NAME, accepted, newcomer.place.number, newcomer.partition, passed, newcomer.forwarded]
        descriptors = [sock.fileno()]
        try:
            if request is not None:
                rest = newcomer.nonce + newcomer.trailing
                state = pack_parcel({"request": request_document(freeze_request(request)), "rest": rest})
                descriptors.append(written_file(state))
            elif begun:
                descriptors.append(written_file(pack_parcel({"request": None, "rest": begun})))
            with trio.fail_after(FAREWELL):
                await self.lineage.send(document, descriptors)
        except (OtherSideGone, OSError, trio.TooSlowError) as error:
            logger.error("%s: the next worker does not take it: %s", newcomer.name, error, kind="next")
            return False
        finally:
            for state_file in descriptors[1:]:
                os.close(state_file)
        newcomer.handed_over = True
        notify_closing(sock)
        sock.close()
        return True


async def check_in_time(answer_by: float) -> None:
    """Check that a newcomer can still get in.

    Raises:
        Reject: 503 if it would have to leave at once.
    """
    if trio.current_time() >= answer_by:
        await trio.lowlevel.checkpoint()  # most likely its time is over, and its task cancelled
        raise stopping()


def is_newcomer(received: Received) -> bool:
    """Return whether a message of the predecessor is one about a newcomer."""
    return isinstance(received.document, list) and received.document[:1] == [NAME]


class Arrivals:
    """Newcomers of the generation before, which come to this server."""

    def __init__(self) -> None:
        self._early: list[Received] = []
        self._places: Sequence[Bound] = ()
        self._start: Callable[[Newcomer], object] | None = None

    def open(self, places: Sequence[Bound], start: Callable[[Newcomer], object]) -> None:
        """Take them from now on, first those that have come already.

        Args:
            places: The listening sockets, with their settings, by number.
            start: Admits a newcomer.
        """
        self._places, self._start = places, start
        early, self._early = self._early, []
        for received in early:
            self.take(received)

    def take(self, received: Received) -> None:
        """Take the newcomer of a message."""
        if self._start is None:
            self._early.append(received)
            return
        try:
            newcomer = newcomer_of(received, self._places)
        except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
            logger.error("a newcomer of the predecessor is lost: %s", error, kind="lost")
        else:
            self._start(newcomer)
        finally:
            close_all(received.descriptors)

    def close(self) -> None:
        """Let go of those that have come too early for this server, which never began."""
        for received in self._early:
            close_all(received.descriptors)
        self._early.clear()


def close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
    descriptors.clear()


def newcomer_of(received: Received, places: Sequence[Bound]) -> Newcomer:
    """Return the newcomer of a message, whose descriptors belong to the caller as far as they are left.

    Raises:
        OSError: If it has gone.
        ValueError, TypeError, KeyError, IndexError: For a message of another version of wsframe.
    """
    _, accepted, number, partition, passed, forwarded = received.document
    place = places[number]
    state = open_parcel(read_file(received.descriptors[1])) if len(received.descriptors) > 1 else None
    known = None if state is None else state["request"]
    request = None if known is None else thaw_request(request_of(known))
    sock = socket.socket(fileno=received.descriptors[0])
    del received.descriptors[0]
    try:
        sock.setblocking(False)
        host, port = ("", 0) if forwarded or request is not None else peer_address(sock.getpeername())
        newcomer = Newcomer(sock, host, port, place)
        newcomer.partition, newcomer.passed, newcomer.forwarded = partition, bool(passed), bool(forwarded)
        if state is not None and request is not None:
            newcomer.resume(request, state["rest"])
        else:
            newcomer.since -= max(0.0, time.monotonic() - accepted)
            newcomer.early = b"" if state is None else state["rest"]
            newcomer.transport.heard = bool(newcomer.early)
    except BaseException:
        sock.close()
        raise
    return newcomer
