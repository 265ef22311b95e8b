"""The way from all listening sockets to the admission: one task for each newcomer."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Collection, Sequence
from functools import partial

import trio

from wsframe.server.admission import Admission
from wsframe.server.listen import Acceptor, Address
from wsframe.server.newcomer import Newcomer

__all__ = ["Entrance"]


class Entrance:
    """Accepts newcomers and has each of them admitted.

    Args:
        admission: Admits them.
        newcomers: The nursery of their tasks.
        context: The server's SSL context, or None without TLS.
        within: Seconds until a newcomer has to be in.
    """

    def __init__(
        self, admission: Admission, newcomers: trio.Nursery, context: ssl.SSLContext | None, within: float
    ) -> None:
        self._admission = admission
        self._newcomers = newcomers
        self._context = context
        self._within = within
        self._acceptors: list[Acceptor] = []

    def open(
        self, sockets: Sequence[socket.socket], hosts: Sequence[Collection[str] | None], accepting: trio.Nursery
    ) -> None:
        """Accept from all sockets until ``accepting`` is cancelled.

        Args:
            sockets: The listening sockets.
            hosts: The Host names that each of them answers to; None for all.
            accepting: The nursery of the tasks that accept.
        """
        for sock, names in zip(sockets, hosts, strict=True):
            acceptor = Acceptor(sock, self._admission, partial(self._welcome, names))
            self._acceptors.append(acceptor)
            accepting.start_soon(acceptor.run)

    def _welcome(self, hosts: Collection[str] | None, sock: socket.socket, address: Address) -> None:
        newcomer = Newcomer(sock, *address, self._context, self._within)
        newcomer.hosts = hosts
        self._admission.pending[newcomer] = None
        self._newcomers.start_soon(self._admit, newcomer)

    async def _admit(self, newcomer: Newcomer) -> None:
        await self._admission.admit(newcomer)
        for acceptor in self._acceptors:
            acceptor.room.ring()
