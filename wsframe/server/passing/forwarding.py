"""Newcomers with TLS whose resource lives in another worker.

Their TLS cannot be passed on: OpenSSL does not export its state. So the worker that has accepted such a newcomer
keeps its socket and decrypts, and the owner gets one end of a pair of unix sockets through its door. The first bytes
in it are the facts about the client, then come those that it has sent. The owner admits it like any other.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from wsframe.http.responses import RETRY_AFTER, Reject
from wsframe.net.client_facts import encode_facts
from wsframe.net.pump import SMALL_BUFFER
from wsframe.server.newcomers.newcomer import Newcomer, note_gone
from wsframe.server.passing.carried import Carried
from wsframe.server.passing.destination import Signpost

__all__ = ["Forwarding", "receive_head"]


async def receive_head(newcomer: Newcomer, signpost: Signpost) -> bool:
    """Receive the head of a newcomer and all that comes before it; return False if it goes before that.

    Raises:
        MalformedProxyHeader: For a wrong PROXY header.
        OSError: If the TLS handshake fails, or the connection breaks.
    """
    if not await newcomer.unwrap(signpost.proxies):
        return False
    received = newcomer.early
    while (partition := signpost.partition_of_head(received)) is None:
        data = await newcomer.transport.receive_some()
        if not data:
            if received:
                note_gone(newcomer)
            return False
        received += data
    newcomer.early, newcomer.partition = received, partition
    return True


class Forwarding:
    """The way of newcomers with TLS from this worker to the others.

    Args:
        carried: The connections that this worker carries.
        signpost: Names the partition of a newcomer.
    """

    def __init__(self, carried: Carried, signpost: Signpost) -> None:
        self._carried = carried
        self._signpost = signpost

    @contextmanager
    def pair(self, newcomer: Newcomer) -> Iterator[None]:
        """Pass a newcomer on by a pair of sockets: if it has gone through a door at the end, it is carried.

        Raises:
            Reject: 503 if this worker has no room for it, 431 for a certificate that is too large to be passed on.
        """
        if self._carried.full:
            raise Reject(503, [RETRY_AFTER], "too many connections of other workers")
        try:
            early = encode_facts(newcomer.facts) + newcomer.early
        except ValueError:
            raise Reject(431, body="client certificate too large") from None
        try:
            ours, newcomer.passing = socket.socketpair()
        except OSError:
            raise Reject(503, [RETRY_AFTER], "out of descriptors") from None
        given = False
        try:
            newcomer.passing.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
            ours.setblocking(False)
            yield
            given = newcomer.passing.fileno() < 0  # closed by the worker that has sent it through the door
        finally:
            if given:
                self._carried.carry(newcomer, ours, early)
            else:
                ours.close()
                newcomer.passing.close()
                newcomer.passing = None
