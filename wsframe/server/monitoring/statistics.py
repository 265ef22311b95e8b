"""The statistics of a running server, gathered when somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import nlargest
from typing import TYPE_CHECKING, Any

from wsframe.connection.link import Link
from wsframe.hooks.listener import Listener
from wsframe.hooks.listeners import Roster
from wsframe.resources.client import Client
from wsframe.resources.routing.registry import Registry
from wsframe.resources.server import ResourceStatistics

if TYPE_CHECKING:
    AnyClient = Client[Any]

__all__ = ["resource_statistics", "slowest"]


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
    """Yield the clients with the most bytes waiting to be sent to them, most first."""
    behind = [link for link in links if link.outbox.byte_count]
    for link in nlargest(count, behind, key=lambda link: link.outbox.weight):
        assert isinstance(link.client, Client)
        yield link.client
