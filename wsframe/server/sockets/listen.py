"""Listening sockets: naming their addresses, accepting from them."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import trio

from wsframe.doorbell import Doorbell
from wsframe.http.hostnames import canonical_host
from wsframe.http.origins import LOOPBACK_HOSTS
from wsframe.log import Log, log_for
from wsframe.net.sockets import accept_of, notify_closing, wait_readable
from wsframe.workers.balance import Balance

if TYPE_CHECKING:
    import ssl

__all__ = [
    "Acceptor",
    "Address",
    "Bound",
    "WaitingNewcomers",
    "address_of",
    "close_sockets",
    "default_hosts",
    "peer_address",
]

logger: Log = log_for(__name__)

AT_ONCE = 64
# Out of descriptors or memory: accepting again immediately would spin, and the backlog waits.
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
PAUSE = 0.1
LOG_EVERY = 1.0
# Without room for newcomers: seconds until the next question, because one can have become too slow.
LOOK_AGAIN = 0.25

Address = tuple[str, int]


def address_of(sock: socket.socket, *, secure: bool) -> str:
    """Name a listening socket as clients write it, such as ``ws://127.0.0.1:8000``."""
    if sock.family == getattr(socket, "AF_UNIX", None):
        name = sock.getsockname()
        return f"unix:@{os.fsdecode(name[1:])}" if isinstance(name, bytes) else f"unix:{name}"
    host, port = sock.getsockname()[:2]
    if ":" in host:
        host = f"[{host.replace('%', '%25')}]"  # a zone as URLs write it: RFC 6874
    return f"{'wss' if secure else 'ws'}://{host}:{port}"


def default_hosts(sock: socket.socket, host: str | None) -> frozenset[str] | None:
    """Return the Host names that a socket answers to by default; None for all.

    On a loopback address, which a rebound name can reach, that is loopback names, the address
    and ``host``. A browser cannot reach a unix socket: requests there come from a proxy.
    """
    if sock.family == getattr(socket, "AF_UNIX", None):
        return None
    name = sock.getsockname()[0]
    address = ipaddress.ip_address(name)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if not (mapped or address).is_loopback:
        return None
    return LOOPBACK_HOSTS | name_of(name) | name_of(host or "")


def name_of(host: str) -> frozenset[str]:
    """Return a bound name as a browser writes it; empty for a name that no browser sends, such as 127.1."""
    with suppress(ValueError):
        return frozenset([canonical_host(host)])
    return frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """A listening socket, and its own settings for newcomers."""

    sock: socket.socket
    hosts: Collection[str] | None = None
    """The Host names that it answers to; None for all."""
    tls: Callable[[bytes], ssl.SSLContext | None] | None = None
    """Returns the context for a newcomer that has sent these bytes, or None while it needs more; None without TLS."""
    proxy_protocol: bool = False
    """Whether each connection begins with a header of the PROXY protocol."""
    number: int = 0
    """Its place among the listening sockets: all workers have them in the same order."""

    @property
    def address(self) -> str:
        """Its name as clients write it."""
        return address_of(self.sock, secure=self.tls is not None)


def close_sockets(bound: Iterable[Bound]) -> None:
    """Stop listening."""
    for one in bound:
        notify_closing(one.sock)
        one.sock.close()


class WaitingNewcomers(Protocol):
    """The newcomers that wait to be admitted."""

    def has_room(self) -> bool: ...
    def make_room(self) -> None: ...


class Acceptor:
    """Accepts from one listening socket for as long as there is room for newcomers.

    Args:
        listening: The listening socket.
        waiting: The newcomers, for which there must be room.
        welcome: Takes a newcomer's socket and address, and whether it can have connected before this began.
        balance: The share of this worker; None for a server that is not one of several.
    """

    def __init__(
        self,
        listening: socket.socket,
        waiting: WaitingNewcomers,
        welcome: Callable[[socket.socket, Address, bool], None],
        balance: Balance | None = None,
    ) -> None:
        self._listening = listening
        self._waiting = waiting
        self._welcome = welcome
        self._balance = balance
        self._take = accept_of(listening)
        self._log_after = 0.0
        self._emptied = False  # whether the backlog has been empty once
        self.room: Doorbell = Doorbell()
        """Ring it when there is room again."""

    async def run(self) -> None:
        """Accept until cancelled, or until the program closes the socket that it has given us."""
        while True:
            while not self._waiting.has_room():
                self._waiting.make_room()
                with trio.move_on_after(LOOK_AGAIN):
                    await self.room.wait()
            try:
                await wait_readable(self._listening)
            except (trio.ClosedResourceError, ValueError):  # trio's word for a descriptor of -1
                logger.error("a listening socket has been closed; nobody can come there any more")
                return
            for _ in range(AT_ONCE if self._balance is None else await self._balance.turn()):
                if not self._waiting.has_room() or not await self._accept():
                    break
            if self._balance is not None:
                self._balance.note()

    async def _accept(self) -> bool:
        """Accept one newcomer; return whether another one can be waiting."""
        try:
            sock, address = self._take()
        except BlockingIOError:
            self._emptied = True
            return False
        except OSError as error:
            if error.errno in EXHAUSTED:
                self._complain(error)
                await trio.sleep(PAUSE)
                return False
            # Else the newcomer went away again: ECONNABORTED and the like (accept(2)).
            return error.errno != errno.EBADF
        sock.setblocking(False)
        self._welcome(sock, peer_address(address), not self._emptied)
        return True

    def _complain(self, error: OSError) -> None:
        now = trio.current_time()
        if now >= self._log_after:
            self._log_after = now + LOG_EVERY
            logger.error("cannot accept: %s", error.strerror, kind=id(self))


def peer_address(address: object) -> Address:
    """Return host and port of the address that ``accept`` gave; a unix peer has neither."""
    if isinstance(address, tuple):
        host = str(address[0])
        host = host.removeprefix("::ffff:") if host.startswith("::ffff:") and "." in host else host
        return sys.intern(host), int(address[1])  # one for all clients behind a proxy
    return "", 0
