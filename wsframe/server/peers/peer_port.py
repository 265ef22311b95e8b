"""The peer port: it takes the newcomers whose resource lives here from the servers that have accepted them.

The first bytes of a connection are a sealed header (``net/peer_header``). The answer to it is one byte, before any byte
of the client: whether this server has the partition, and room. A newcomer that came this way is never passed on again.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final
from weakref import WeakSet

import trio

from wsframe.doorbell import Doorbell
from wsframe.log import Log, log_for
from wsframe.net.peer_header import PeerGate, PeerHeaderReader, RefusedPeer
from wsframe.net.socket_options import keep_alive
from wsframe.net.sockets import Endpoint
from wsframe.net.transport import Transport
from wsframe.server.cluster import Cluster, checked
from wsframe.server.newcomers.newcomer import Newcomer
from wsframe.server.peers.keys import peer_name
from wsframe.server.sockets.addresses import TcpAddress
from wsframe.server.sockets.bind import bind_tcp, naming
from wsframe.server.sockets.listen import Acceptor, Address, Bound, close_sockets
from wsframe.user_code.errors import contain
from wsframe.user_code.protected_nursery import ProtectedNursery
from wsframe.workers.worker import Worker

__all__ = ["BUFFER", "BUSY", "MINE", "NOT_MINE", "SILENCE", "PeerPort", "PeerSocket", "peer_socket"]

logger: Log = log_for(__name__)

MINE, NOT_MINE, BUSY = b"\x01", b"\x00", b"\x02"
"""The answers. BUSY comes from an owner without room: ask it again."""
BUFFER: Final = 65536
"""Bytes of each buffer in the kernel, on both sides: bytes that a client has not taken wait in its owner's outbox."""
BACKLOG: Final = 1024
MOST_UNPROVED: Final = 500
"""Connections whose header has not come."""
UNPROVED_FOR: Final = 0.1
"""Seconds in which no connection is reset for lack of room: the headers of a crowd are on their way."""
WITHIN: Final = 2.0
"""Seconds for the header and the answer: fewer than a server that has dialed waits for."""
SILENCE: Final = 5.0
"""Seconds of silence after which the kernel looks whether the other server is there, and for its answer.

Neither side has TCP_USER_TIMEOUT: each waits for as long as the client or the hook behind the other one.
"""
GENERATIONS: Final = 2
"""Generations of a worker that can listen at the same time, in a rolling restart."""


class PeerSocket:
    """A bound peer port.

    Args:
        sock: The listening socket.
        name: The name of the server, which says where others reach it.
    """

    def __init__(self, sock: socket.socket, name: str) -> None:
        self.sock = sock
        self.name = name
        self.serves: int = 0
        """The port at which the server serves without TLS; 0 for none."""
        self.dial: Callable[[str, int], Awaitable[Transport]] | None = None
        """Connects to the peer port of another server; None for one of the kernel's network."""
        self.clock: Callable[[], float] = time.time
        """The time by which the age of headers counts, which all servers share."""


def bind_first(host: str | None, ports: Sequence[int]) -> Sequence[socket.socket]:
    """Bind the first of some ports that is free.

    Raises:
        OSError: If none is.
    """
    *before, last = ports
    for port in before:
        with suppress(OSError):
            return bind_tcp(host, port, BACKLOG)
    try:
        return bind_tcp(host, last, BACKLOG)
    except OSError as error:
        raise naming(error, f"the peer port {TcpAddress(host, last)}") from None


@contextmanager
def peer_socket(cluster: Cluster, worker: Worker | None) -> Iterator[PeerSocket]:
    """Bind the peer port of a server, and close it at the end.

    A given port is for worker 0; the following ones are for the other workers, and again as many for the next
    generation of a rolling restart.

    Raises:
        OSError: If the address cannot be bound.
    """
    wanted = checked("peer_bind", cluster.peer_bind)
    slot, count = (0, 1) if worker is None else (worker.slot, worker.count)
    steps = range(slot, slot + GENERATIONS * count, count) if wanted.port and worker is not None else [slot]
    first, *others = bind_first(wanted.host, [wanted.port and wanted.port + step for step in steps])
    for other in others:
        other.close()
    with first:
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            first.setsockopt(socket.SOL_SOCKET, option, BUFFER)
        host, bound = first.getsockname()[:2]
        if cluster.peer_advertise is not None:
            told = checked("peer_advertise", cluster.peer_advertise)
            host, bound = told.host, told.port + (bound - wanted.port if wanted.port else 0)
        yield PeerSocket(first, peer_name((host, bound), slot))


class PeerPort:
    """Takes newcomers from other servers.

    Args:
        sock: The listening socket.
        gate: Lets their connections in.
        has: Says whether a partition lives here.
        room: Waits for a moment until there is room for a newcomer, and returns whether there is.
        welcome: Takes a newcomer.
    """

    def __init__(
        self,
        sock: socket.socket,
        gate: PeerGate,
        has: Callable[[int], bool],
        room: Callable[[Newcomer], Awaitable[bool]],
        welcome: Callable[[Newcomer], object],
    ) -> None:
        self._place = Bound(sock=sock)
        self._gate = gate
        self._has = has
        self._has_room = room
        self._welcome = welcome
        self._unproved: dict[Newcomer, trio.CancelScope] = {}
        """Connections whose header has not come, in order of arrival."""
        self._room = Doorbell()
        self.taken: int = 0
        """Newcomers that other servers have passed on."""
        self._open: WeakSet[Endpoint] = WeakSet()
        """Their sockets; a client keeps its own."""

    def __len__(self) -> int:
        """The number of connections that other servers carry here now."""
        return sum(sock.fileno() != -1 for sock in self._open)

    def close(self) -> None:
        """Stop listening: others learn at once that this server takes nobody."""
        close_sockets([self._place])

    def has_room(self) -> bool:
        """Return whether another connection can be accepted."""
        return len(self._unproved) < MOST_UNPROVED

    def make_room(self) -> None:
        """Reset the connection that has sent no header for the longest time: a server sends it at once."""
        oldest = next(iter(self._unproved))
        if trio.current_time() < oldest.since + UNPROVED_FOR:
            return
        logger.warning(
            "%d connections to the peer port send no header, the oldest are reset: is it reachable from outside?",
            len(self._unproved), kind="unproved",
        )  # fmt: skip
        self._unproved[oldest].cancel()
        self._is_proved(oldest)

    def _is_proved(self, newcomer: Newcomer) -> None:
        """Stop counting a connection: its header has come, or it has ended."""
        if self._unproved.pop(newcomer, None) is not None:
            self._room.ring()

    async def run(self) -> None:
        """Take until cancelled."""
        async with ProtectedNursery() as nursery:

            def accepted(sock: socket.socket, address: Address, early: bool) -> None:
                newcomer = Newcomer(sock, *address, self._place)
                self._unproved[newcomer] = trio.CancelScope()
                nursery.start_soon(self._receive, newcomer)

            acceptor = Acceptor(self._place.sock, self, accepted)
            self._room = acceptor.room
            await acceptor.run()

    async def _receive(self, newcomer: Newcomer) -> None:
        """Receive the header of a connection, and answer it; an error costs only this connection."""
        scope = self._unproved.get(newcomer) or trio.CancelScope()
        scope.deadline = trio.current_time() + WITHIN
        try:
            with scope, suppress(OSError, trio.ClosedResourceError):
                await self._decide(newcomer)
        except RefusedPeer as error:
            fields = {"peer": newcomer.name, "reason": str(error)}
            logger.warning("%(peer)s: refused at the peer port: %(reason)s", fields, extra=fields, kind="refused peer")
        except BaseException as error:
            contain(error)
            logger.error("%s: internal error at the peer port", newcomer.name, exc_info=error, kind="peer port")
        finally:
            self._is_proved(newcomer)
            if not newcomer.spliced:
                newcomer.transport.close(reset=True)

    async def _decide(self, newcomer: Newcomer) -> None:
        reader = PeerHeaderReader()
        whole = False
        while not whole:
            data = await newcomer.transport.receive_some()
            if not data:
                return
            whole = reader.receive(data)
        opened = self._gate.open(reader)
        self._is_proved(newcomer)
        answer = NOT_MINE
        if self._has(opened.partition):
            newcomer.take_facts(opened.facts, opened.early)
            answer = BUSY
            if await self._has_room(newcomer):
                answer = MINE if self._has(opened.partition) else NOT_MINE
        if answer == MINE:
            self._take(newcomer, opened.partition)
        else:
            newcomer.transport.send(answer)
            await newcomer.transport.await_end(BUFFER)

    def _take(self, newcomer: Newcomer, partition: int) -> None:
        """Take a newcomer, and say so as the last step."""
        newcomer.partition = partition
        newcomer.unwrapped = newcomer.passed = newcomer.spliced = True
        self._welcome(newcomer)
        self.taken += 1
        self._open.add(newcomer.sock)
        keep_alive(newcomer.sock, SILENCE, SILENCE)
        newcomer.transport.send(MINE)
