"""Places: how many clients the server, each resource and each address can have."""

from __future__ import annotations

from collections.abc import Hashable
from ipaddress import IPv6Address
from math import inf
from typing import TypeVar

from wsframe.http.responses import RETRY_AFTER, Reject
from wsframe.limits import Capacity
from wsframe.workers.ledger import Ledger
from wsframe.workers.worker import Worker

__all__ = ["Places", "Reservation"]

KeyT = TypeVar("KeyT", bound=Hashable)

KEPT_FREE = 16
"""One place in this many is not for newcomers that wait for another worker: a late worker closes no other path."""


class Headcount:
    """The number of places taken: in all, by network and by resource.

    Args:
        ledger: Counts the first two over all workers; None without others.
    """

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.ledger = ledger
        self.total = 0
        self.by_network: dict[str, int] = {}
        self.by_place: dict[Hashable, int] = {}

    def by(self, network: str) -> int:
        """Return the places taken by a network."""
        return self.by_network.get(network, 0) if self.ledger is None else self.ledger.by(network)


class Reservation:
    """A place for one client, held from before ``accept_client`` until its ``disconnected`` has run."""

    __slots__ = ("_headcount", "_network", "_next", "_place")

    def __init__(self, headcount: Headcount, network: str, place: Hashable) -> None:
        self._headcount: Headcount | None = headcount
        self._network = network
        self._place = place
        self._next: Hashable | None = None

    def take(self, place: Hashable, max_in_place: int | None) -> bool:
        """Take a place in another resource too, for a client that moves there; return whether there was one."""
        if self._headcount is None:
            return False
        taken = self._headcount.by_place.get(place, 0)
        if max_in_place is not None and taken >= max_in_place:
            return False
        self._headcount.by_place[place] = taken + 1
        self._next = place
        return True

    def settle(self) -> None:
        """Give the former place back, now that the client has moved."""
        if self._headcount is not None and self._next is not None:
            leave(self._headcount.by_place, self._place)
            self._place, self._next = self._next, None

    def release(self) -> None:
        """Give the place back; a second call does nothing."""
        if self._next is not None:
            self.settle()
        headcount, self._headcount = self._headcount, None
        if headcount is not None:
            headcount.total -= 1
            if headcount.ledger is not None:
                headcount.ledger.leave(self._network)
            leave(headcount.by_network, self._network)
            leave(headcount.by_place, self._place)


class Places:
    """The places of one server, each taken by a newcomer or a client.

    Args:
        capacity: Its limits, which hold for all workers together; those of resources hold for each object.
        worker: This process, if it is one of several.
    """

    def __init__(self, capacity: Capacity, worker: Worker | None = None) -> None:
        self._capacity = capacity
        self._headcount = Headcount(None if worker is None else Ledger(worker))

    @property
    def reserved(self) -> int:
        """Places taken, by newcomers and by clients of this process."""
        return self._headcount.total

    @property
    def full(self) -> bool:
        """Whether the server, or all workers together, have no place left."""
        return self._left <= 0

    @property
    def scarce(self) -> bool:
        """Whether only the last places are left, which are not for newcomers that wait."""
        most = self._capacity.max_clients
        return most is not None and self._left <= most // KEPT_FREE

    @property
    def _left(self) -> float:
        most, count = self._capacity.max_clients, self._headcount
        return inf if most is None else most - (count.total if count.ledger is None else count.ledger.total)

    def reserve(self, address: str, place: Hashable, max_in_place: int | None) -> Reservation:
        """Take a place for a newcomer.

        Args:
            address: The peer's IP address; ``""`` is not counted by address.
            place: The resource, whose clients ``max_in_place`` counts.
            max_in_place: The most clients of the resource; None for no limit of its own.

        Raises:
            Reject: 503 when the server or the resource is full, 429 when the address is.
        """
        capacity, count = self._capacity, self._headcount
        network = network_of(address) if ":" in address else address
        if self._left <= 0:
            raise Reject(503, [RETRY_AFTER], "server full")
        if max_in_place is not None and count.by_place.get(place, 0) >= max_in_place:
            raise Reject(503, [RETRY_AFTER], "resource full")
        most = capacity.max_clients_per_address
        if network and most is not None and count.by(network) >= most:
            raise Reject(429, [RETRY_AFTER], "too many connections from this address")
        return self._taken(network, place)

    def take_over(self, address: str, place: Hashable) -> Reservation:
        """Take a place for a client of another process, which has been counted there: no limit refuses it."""
        return self._taken(network_of(address), place)

    def _taken(self, network: str, place: Hashable) -> Reservation:
        count = self._headcount
        count.total += 1
        if count.ledger is not None:
            count.ledger.take(network)
        count.by_network[network] = count.by_network.get(network, 0) + 1
        count.by_place[place] = count.by_place.get(place, 0) + 1
        return Reservation(count, network, place)


def network_of(address: str) -> str:
    """Reduce an IPv6 address to its /64, which one household can fill; IPv4 stays as it is."""
    if ":" not in address:
        return address
    parsed = IPv6Address(address.partition("%")[0])
    if parsed.ipv4_mapped is not None:  # an IPv4 address on a dual-stack socket
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> 64:x}/64"


def leave(counts: dict[KeyT, int], key: KeyT) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
