"""The way from all listening sockets to the admission.

A newcomer whose request is here already, and about which no user code has to be asked, is let in at once by the task
that accepts. Each of the others has a task of its own.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import partial

import trio

from wsframe.http.responses import RETRY_AFTER, Reject
from wsframe.net.socket_options import tune_accepted
from wsframe.net.transport import FAREWELL
from wsframe.server.admission import Admission
from wsframe.server.handover.unanswered import Arrivals
from wsframe.server.newcomers.newcomer import Newcomer
from wsframe.server.passing.taking import Counts, Taker
from wsframe.server.sockets.listen import Acceptor, Address, Bound
from wsframe.user_code.protected_nursery import ProtectedNursery
from wsframe.workers.balance import Balance

__all__ = ["Entrance"]


class Entrance:
    """Accepts newcomers and has each of them admitted.

    Args:
        admission: Admits them.
        newcomers: The nursery of their tasks.
        within: Seconds until a newcomer has to be in.
        tuning: The socket options of most clients, the arguments of ``tune``; None to set them for each client.
    """

    def __init__(
        self,
        admission: Admission,
        newcomers: ProtectedNursery,
        within: float,
        tuning: tuple[int, float] | None = None,
    ) -> None:
        self._admission = admission
        self._newcomers = newcomers
        self._within = within
        self._tuning = tuning
        self._clock = trio.lowlevel.current_clock().current_time
        self.taker: Taker | None = None
        """Takes the newcomers that other workers pass; None without them."""

    def open(self, places: Sequence[Bound], accepting: ProtectedNursery, balance: Balance | None = None) -> None:
        """Accept from all sockets until ``accepting`` is cancelled.

        Args:
            places: The listening sockets, each with its settings.
            accepting: The nursery of the tasks that accept.
            balance: The share of this worker; None for a server that is not one of several.
        """
        for place in places:
            tuned = None if self._tuning is None else tune_accepted(place.sock, *self._tuning)
            acceptor = Acceptor(place.sock, self._admission.pending, partial(self._welcome, place, tuned), balance)
            self._admission.pending.rooms.append(acceptor.room)
            accepting.start_soon(acceptor.run, again=True)

    def open_door(self, door: socket.socket, places: Sequence[Bound]) -> None:
        """Take the newcomers that other workers pass, until :meth:`leave_door`."""
        passage = self._admission.passage
        counts = Counts() if passage is None else passage.counts
        self.taker = Taker(door, places, self._admission.pending, self._let_in, counts)
        self._admission.pending.rooms.append(self.taker.room)
        self._newcomers.start_soon(self.taker.run)

    def leave_door(self) -> None:
        """Take no more newcomers that other workers pass."""
        if self.taker is not None:
            self.taker.scope.cancel()

    def take_arrivals(self, arrivals: Arrivals, places: Sequence[Bound]) -> None:
        """Take the newcomers of the generation before as well."""
        arrivals.open(places, self._take_arrival)

    def _take_arrival(self, newcomer: Newcomer) -> None:
        if self.taker is None or self.taker.scope.cancel_called:
            newcomer.transport.close()  # this server ends as well
        else:
            self.start(newcomer)

    def _welcome(
        self, place: Bound, tuned: tuple[int, float] | None, sock: socket.socket, address: Address, early: bool
    ) -> None:
        newcomer = Newcomer(sock, *address, place, self._clock())
        if not early:  # one that connected before the listening socket was tuned has inherited nothing
            newcomer.transport.tuned = tuned
        passage = self._admission.passage
        if passage is None or passage.is_here_at_once(newcomer):
            if self._admission.admit_at_once(newcomer):
                return
        elif newcomer.handed_over:
            return
        self.start(newcomer)

    def _let_in(self, newcomer: Newcomer) -> None:
        if not self._admission.admit_at_once(newcomer):
            self.start(newcomer)

    def start(self, newcomer: Newcomer) -> None:
        """Admit a newcomer in a task of its own."""
        newcomer.limit(self._within)
        if newcomer.passed and newcomer.scope.deadline <= trio.current_time():
            newcomer.error = Reject(503, [RETRY_AFTER], "this worker took no newcomers")
            newcomer.scope.deadline = trio.current_time() + FAREWELL
        self._admission.pending.under_way[newcomer] = None
        self._newcomers.start_soon(self._admission.admit, newcomer, name="newcomer")
