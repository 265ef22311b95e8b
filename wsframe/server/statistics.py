"""What a running server tells of itself: counters and what waits, read when somebody asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import nlargest
from typing import TYPE_CHECKING, Any, NamedTuple

from wsframe.connection.link import Link
from wsframe.hooks.listener import Listener
from wsframe.hooks.listeners import Roster
from wsframe.resources.client import Client
from wsframe.resources.registry import Registry

if TYPE_CHECKING:
    AnyClient = Client[Any]

__all__ = ["ResourceStatistics", "ServerStatistics", "resource_statistics", "slowest"]


class ResourceStatistics(NamedTuple):
    """A snapshot of one resource; part of :class:`ServerStatistics`."""

    name: str
    """The name of its class."""
    paths: tuple[str, ...]
    """The paths it is registered under, or the one that a factory made it for; none for what only a dispatcher
    or ``deliver_to`` leads to, and once it is unregistered and its last clients stay."""
    clients: int
    """Its connected clients."""
    messages_received: int
    """Messages its clients have sent, since this server began to serve it or it last started anew."""
    messages_waiting: int
    """Messages of its clients that wait for its hooks."""
    hook_seconds: float
    """Seconds in which its hooks ran or waited. With ``ordering = "client"`` hooks
    overlap, so it can grow faster than time."""


class ServerStatistics(NamedTuple):
    """A snapshot of a server. Returned by :meth:`Server.statistics`."""

    clients: int
    """Connections now, those that are ending included."""
    reserved: int
    """Places taken: clients whose ``disconnected`` has not run, and newcomers past the path check."""
    pending_handshakes: int
    """Newcomers between accept and 101."""
    admitted: int
    """Newcomers that became clients so far."""
    refused: int
    """Newcomers that were answered with an HTTP error so far."""
    resources: int
    """Resources with a listener."""
    messages_received: int
    """Messages that clients have sent so far."""
    octets_received: int
    """Octets received from clients so far, TLS and requests not counted."""
    octets_sent: int
    """Octets sent to clients so far, TLS and the answers to requests not counted."""
    octets_waiting: int
    """What counts towards ``Capacity.max_queued_bytes``: what waits for hooks and for slow clients, and the memory
    of the objects that hold it."""
    by_resource: tuple[ResourceStatistics, ...]
    """Each resource with a listener."""


def resource_statistics(roster: Roster, registries: Iterable[Registry]) -> tuple[ResourceStatistics, ...]:
    """Return a snapshot of each resource that has a listener."""
    paths: dict[int, list[str]] = {}
    for registry in registries:
        for path, registration in registry.table.registrations():
            paths.setdefault(id(registration.resource), []).append(path)
    for key, (_, path, _) in roster.made.makers.items():
        paths.setdefault(key, []).append(path)
    return tuple(one_resource(listener, paths.get(id(listener.resource), [])) for listener in roster.listeners())


def one_resource(listener: Listener, paths: list[str]) -> ResourceStatistics:
    received, waiting = listener.received_before, 0
    for client in listener.clients:
        link = client._link
        assert isinstance(link, Link)
        received += link.inbox.received
        waiting += link.inbox.waiting
    return ResourceStatistics(
        name=type(listener.resource).__name__,
        paths=tuple(paths),
        clients=len(listener.clients),
        messages_received=received,
        messages_waiting=waiting,
        hook_seconds=listener.hook_seconds,
    )


def slowest(links: Iterable[Link], count: int) -> Iterator[AnyClient]:
    """Yield the clients for whom most waits to be sent, those with most first."""
    behind = [link for link in links if link.outbox.octets]
    for link in nlargest(count, behind, key=lambda link: link.outbox.weight):
        assert isinstance(link.client, Client)
        yield link.client
