"""The question to the owner of a partition: this server dials its peer port, and hears whether it takes a newcomer.

A bounded number of newcomers dials one server at a time, because it can be cut off. The others stand in line, in order
of arrival, until the time for their handshake is nearly over.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from random import uniform
from typing import Final

import trio

from wsframe.http.responses import Reject, retry_later
from wsframe.net.client_facts import ClientFacts
from wsframe.net.peer_header import sealed
from wsframe.net.socket_options import keep_alive, tune
from wsframe.net.transport import Transport, transport_of
from wsframe.server.peers.keys import Keys, peer_address
from wsframe.server.peers.peer_port import BUFFER, BUSY, MINE, NOT_MINE, SILENCE

__all__ = ["Dialer", "OutOfReach", "connected"]

MOST_DIALING: Final = 100
"""Newcomers that wait for the answer of one server, which can be cut off."""
MOST_IN_LINE: Final = 1000
"""Newcomers that stand in line for one server: those for others find room to wait too."""
WITHIN: Final = 3.0
"""Seconds for dialing an owner and its answer."""
AGAIN: Final = 0.1, 0.4
"""Seconds until another question to a server that has no room; the two bounds of a random time."""
UNREACHED: Final = b"unreached"
"""In place of an answer: nobody listens there, or the machine is silent."""


class OutOfReach(Exception):
    """Raised where an owner cannot be connected to: it has died, perhaps, and its leases have an end."""


class Dialer:
    """Asks the owners of partitions.

    Args:
        keys: The keys of peer ports.
        connect: Connects to a peer port.
        clock: The time that servers share.
    """

    def __init__(
        self, keys: Keys, connect: Callable[[str, int], Awaitable[Transport]], clock: Callable[[], float]
    ) -> None:
        self._keys = keys
        self._connect = connect
        self._clock = clock
        self._lines: dict[str, trio.CapacityLimiter] = {}
        """The line for each server that newcomers wait for."""

    def __len__(self) -> int:
        """The number of newcomers that wait for an answer."""
        return sum(line.borrowed_tokens for line in self._lines.values())

    @property
    def in_line(self) -> int:
        """The number of newcomers that stand in line."""
        return sum(line.statistics().tasks_waiting for line in self._lines.values())

    async def dial(
        self, node: str, partition: int, facts: ClientFacts, has: Callable[[], bool], *, patient: bool
    ) -> Transport | None:
        """Connect to an owner; return None if it does not take the newcomer, or is the owner no more.

        Args:
            node: The owner.
            partition: The partition of the newcomer.
            facts: The newcomer.
            has: Whether the server is still the owner, as far as this one knows.
            patient: Whether the newcomer can wait for room.

        Raises:
            Reject: 503 if too many wait for this owner; 431 for a client certificate that is too large.
            OutOfReach: If it cannot be connected to.
        """
        async with self._turn(node, patient=patient):
            while has():
                answer, transport = await self._ask(node, partition, facts)
                if answer == UNREACHED and has():
                    raise OutOfReach
                if answer != BUSY or not patient:
                    return transport
                await trio.sleep(uniform(*AGAIN))
        return None

    @asynccontextmanager
    async def _turn(self, node: str, *, patient: bool) -> AsyncIterator[None]:
        """Stand in line for a server, and be one of those that dial it in the body."""
        line = self._lines.get(node)
        if line is None:
            line = self._lines[node] = trio.CapacityLimiter(MOST_DIALING)
        elif line.available_tokens <= 0 and (not patient or line.statistics().tasks_waiting >= MOST_IN_LINE):
            raise retry_later("too many wait for its owner")
        try:
            async with line:
                yield
        finally:
            if not line.borrowed_tokens:
                self._lines.pop(node, None)

    async def _ask(self, node: str, partition: int, facts: ClientFacts) -> tuple[bytes, Transport | None]:
        """Ask a server once; return its answer, with a connection to it if it takes the newcomer."""
        key = self._keys.key_for(node)
        if key is None:
            return NOT_MINE, None
        try:
            header = sealed(facts, partition, node, key, self._clock(), os.urandom(16))
        except UnicodeEncodeError:  # of the server's name
            return NOT_MINE, None
        except ValueError:
            raise Reject(431, body="client certificate too large") from None
        transport = None
        try:
            with trio.move_on_after(WITHIN) as asking, suppress(OSError, ValueError, trio.ClosedResourceError):
                try:
                    transport = await self._connect(*(peer_address(node) or ("", 0)))
                except ConnectionRefusedError:
                    return UNREACHED, None
                await transport.send_all(header)
                answer = await transport.receive_some(1)
                if answer == MINE:
                    found, transport = transport, None
                    return answer, found
                return answer, None
            if asking.cancelled_caught and transport is None:
                return UNREACHED, None
        finally:
            if transport is not None:
                transport.close()
        return NOT_MINE, None


async def connected(host: str, port: int) -> Transport:
    """Connect to a peer port.

    Raises:
        OSError: If none of its addresses can be reached.
    """
    failure = OSError("it has no address")
    for family, kind, protocol, _, address in await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = trio.socket.socket(family, kind, protocol)
        try:
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)
            await sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            transport = transport_of(sock)
            assert transport.sock is not None
            tune(transport.sock, BUFFER, None)
            keep_alive(transport.sock, SILENCE, SILENCE)
            return transport
    raise failure
