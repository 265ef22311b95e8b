"""All connections of a server: who may come, and whose deadline is next."""

from __future__ import annotations

from collections.abc import Hashable
from ipaddress import IPv6Address
from math import ceil, inf
from typing import Generic, Protocol, TypeVar

from wsframe.http.responses import Reject
from wsframe.limits import Capacity
from wsframe.protocol.deadlines import Deadlines, Due

__all__ = ["ConnectionPool", "Reservation"]

KeyT = TypeVar("KeyT", bound=Hashable)

# Deadlines are kept in steps of a quarter second, rounded up: clients that came within
# one step share a wake-up, and no timeout of this package is finer.
STEPS = 4

RETRY_AFTER = ("Retry-After", "5")


class Reservation:
    """A place for one client, held from before ``accept_client`` until its ``disconnected`` has run."""

    __slots__ = ("_headcount", "_network", "_next", "_place")

    def __init__(self, headcount: Headcount, network: str, place: Hashable) -> None:
        self._headcount: Headcount | None = headcount
        self._network = network
        self._place = place
        self._next: Hashable | None = None

    def take(self, place: Hashable, max_in_place: int | None) -> bool:
        """Take a place in another resource too, for a client that goes there; return whether there was one."""
        if self._headcount is None:
            return False
        taken = self._headcount.by_place.get(place, 0)
        if max_in_place is not None and taken >= max_in_place:
            return False
        self._headcount.by_place[place] = taken + 1
        self._next = place
        return True

    def settle(self) -> None:
        """Give the former place back, now that the client is where it went."""
        if self._headcount is not None and self._next is not None:
            leave(self._headcount.by_place, self._place)
            self._place, self._next = self._next, None

    def release(self) -> None:
        """Give the place back; more than once does no harm."""
        self.settle()
        headcount, self._headcount = self._headcount, None
        if headcount is not None:
            headcount.total -= 1
            leave(headcount.by_network, self._network)
            leave(headcount.by_place, self._place)


class Timed(Protocol):
    """A connection, as far as the pool needs it."""

    deadlines: Deadlines


class Headcount:
    """How many places are taken: in all, by network and by resource."""

    def __init__(self) -> None:
        self.total = 0
        self.by_network: dict[str, int] = {}
        self.by_place: dict[Hashable, int] = {}


def leave(counts: dict[KeyT, int], key: KeyT) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]


class ConnectionPool(Generic[KeyT]):
    """The set of connections with their reservations and deadlines.

    It is not on the path of a message: a connection notes its own times, and the pool
    asks it when the deadline it last gave has come.
    """

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._connections: dict[KeyT, Timed] = {}
        self._by_step: dict[int, set[KeyT]] = {}
        self._headcount = Headcount()

    def __len__(self) -> int:
        return len(self._connections)

    def __repr__(self) -> str:
        return f"<ConnectionPool [connections: {len(self)} | reserved: {self.reserved}]>"

    @property
    def reserved(self) -> int:
        """Places taken, by newcomers and by clients."""
        return self._headcount.total

    def reserve(self, address: str, place: Hashable, max_in_place: int | None) -> Reservation:
        """Take a place for a newcomer.

        Args:
            address: The peer's IP address; ``""`` is not counted by address.
            place: What ``max_in_place`` counts within: the resource.
            max_in_place: How many the resource takes; None for no limit of its own.

        Raises:
            Reject: 503 when the server or the resource is full, 429 when the address is.
        """
        capacity, count = self._capacity, self._headcount
        network = network_of(address)
        if count.total >= capacity.max_clients:
            raise Reject(503, [RETRY_AFTER], "server full")
        if max_in_place is not None and count.by_place.get(place, 0) >= max_in_place:
            raise Reject(503, [RETRY_AFTER], "resource full")
        most = capacity.max_clients_per_address
        if network and most is not None and count.by_network.get(network, 0) >= most:
            raise Reject(429, [RETRY_AFTER], "too many connections from this address")
        count.total += 1
        count.by_network[network] = count.by_network.get(network, 0) + 1
        count.by_place[place] = count.by_place.get(place, 0) + 1
        return Reservation(count, network, place)

    def add(self, key: KeyT, connection: Timed) -> float:
        """Take a connection in, under a key the caller knows it by; it takes the place of one that had the key.

        Returns:
            When it will be looked at; ``inf`` for never.
        """
        self.remove(key)
        self._connections[key] = connection
        return self.schedule(key)

    def remove(self, key: KeyT) -> None:
        """Forget a connection; one that is not there does no harm."""
        connection = self._connections.pop(key, None)
        if connection is not None:
            self._unschedule(key, connection)

    def _unschedule(self, key: KeyT, connection: Timed) -> None:
        deadlines = connection.deadlines
        if deadlines.scheduled < inf:
            step = int(deadlines.scheduled * STEPS)
            keys = self._by_step.get(step)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._by_step[step]
            deadlines.scheduled = inf

    def schedule(self, key: KeyT) -> float:
        """Look at a connection's deadlines again, because an earlier one may have come up.

        Returns:
            When the connection will be looked at next; ``inf`` for never.
        """
        connection = self._connections.get(key)
        if connection is None:
            return inf
        deadlines = connection.deadlines
        when = deadlines.next()
        if when < deadlines.scheduled:
            self._unschedule(key, connection)
            step = ceil(when * STEPS)
            deadlines.scheduled = step / STEPS
            self._by_step.setdefault(step, set()).add(key)
        return deadlines.scheduled

    def next_deadline(self) -> float:
        """Return when :meth:`sweep` has something to look at; ``inf`` for never."""
        return min(self._by_step) / STEPS if self._by_step else inf

    def sweep(self, now: float) -> list[tuple[KeyT, list[Due]]]:
        """Return what is due. The caller acts on it, then calls :meth:`schedule` for each key returned."""
        found: list[tuple[KeyT, list[Due]]] = []
        for step in sorted(step for step in self._by_step if step <= now * STEPS):
            for key in self._by_step.pop(step):
                connection = self._connections[key]
                connection.deadlines.scheduled = inf
                dues = connection.deadlines.due(now)
                if dues:
                    found.append((key, dues))
                else:
                    self.schedule(key)
        return found


def network_of(address: str) -> str:
    """Reduce an IPv6 address to its /64, which one household can fill; IPv4 stays as it is."""
    if ":" not in address:
        return address
    parsed = IPv6Address(address.partition("%")[0])
    if parsed.ipv4_mapped is not None:  # an IPv4 address on a dual-stack socket
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> 64:x}/64"
