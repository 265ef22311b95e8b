"""The settings of a server that is one of several on a backplane: its leases, and its port for the others."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from dataclasses import dataclass, field

from wsframe.backplane.node_leases import LEASE, SHORTEST
from wsframe.server.sockets.addresses import TcpAddress, parse_address

__all__ = ["Cluster", "is_loopback", "is_unspecified"]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """How servers with a backplane share the resources that live in one of them at a time.

    Raises:
        TypeError: For a value of another type.
        ValueError: For a lease that is too short, an address that is not ``HOST:PORT``, or a ``peer_bind`` that other
            machines reach without a ``peer_secret``, or that is on all addresses without a ``peer_advertise``.
    """

    lease_seconds: float = LEASE
    """Seconds of a lease. Default 5, at least 2. Others replace a server that has died after this time; a server that
    cannot reach the engine for as long, less half a second, ends its resources. Shorter leases fail more often for
    pauses of the network, and all servers of a service need the same."""
    peer_bind: str = "127.0.0.1:0"
    """``HOST:PORT`` at which this server takes the connections that others pass on. Default a free port of loopback,
    for several servers on one machine. Bind an address in a private network alone: messages pass it in the clear."""
    peer_advertise: str | None = None
    """``HOST:PORT`` under which others reach ``peer_bind``. Default None: the address that was bound, which
    has to be one: with ``*``, ``0.0.0.0`` or ``[::]`` say which."""
    peer_secret: str | None = field(default=None, repr=False)
    """A secret, the same in all servers, which proves that a passed connection comes from one of them. Default None:
    each server makes a key and tells the others through the backplane, with a ``peer_bind`` on loopback alone. A
    program that knows it can name any address as a client's."""

    def __post_init__(self) -> None:
        if isinstance(self.lease_seconds, bool) or not isinstance(self.lease_seconds, int | float):
            raise TypeError(f"lease_seconds is a number, not {type(self.lease_seconds).__name__}")
        if not SHORTEST <= self.lease_seconds < float("inf"):
            raise ValueError(f"lease_seconds is at least {SHORTEST:g}, not {self.lease_seconds}")
        bound = checked("peer_bind", self.peer_bind)
        if self.peer_advertise is not None:
            advertised = checked("peer_advertise", self.peer_advertise)
            if is_unspecified(advertised.host) or advertised.port == 0:
                raise ValueError(f"peer_advertise names one host and its port, not {self.peer_advertise!r}")
        if self.peer_secret is not None and not isinstance(self.peer_secret, str):
            raise TypeError(f"peer_secret is a str or None, not {type(self.peer_secret).__name__}")
        if self.peer_secret == "":
            raise ValueError("peer_secret is empty: leave it out, or give 16 characters or more that nobody guesses")
        if self.peer_secret is None and not is_loopback(bound.host):
            raise ValueError(
                f"peer_bind={self.peer_bind!r} can be reached by other machines: give all servers one peer_secret"
            )
        if self.peer_advertise is None and is_unspecified(bound.host):
            raise ValueError(
                f"peer_bind={self.peer_bind!r} names no host at which others reach this server: set peer_advertise to "
                "one, such as '10.0.0.7:9000'"
            )


def checked(name: str, address: object) -> TcpAddress:
    """Return an address, read.

    Raises:
        TypeError: For another type than str.
        ValueError: For anything but a host and a port.
    """
    if not isinstance(address, str):
        raise TypeError(f"{name} is an address as a str, such as '10.0.0.7:9000', not {type(address).__name__}")
    try:
        read = parse_address(address)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if not isinstance(read, TcpAddress):
        raise ValueError(f"{name} is HOST:PORT, such as 10.0.0.7:9000, not {address!r}")
    return read


def is_unspecified(host: str | None) -> bool:
    """Return whether a host stands for all addresses of a machine, also as inet_aton(3) reads it, such as 0."""
    if host is None:
        return True
    with suppress(OSError):
        return socket.inet_aton(host) == bytes(4)
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_unspecified


def is_loopback(host: str | None) -> bool:
    """Return whether a host is one that only this machine reaches."""
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host.lower() == "localhost"
