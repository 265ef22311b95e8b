"""The counters of each path of a server; their number is bounded, and each counts for as long as the server runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wsframe.connection.counters import OTHER, PathCounters
from wsframe.resources.resource import Resource
from wsframe.resources.routing.factories import Factory
from wsframe.resources.routing.routing_table import RoutingTable

__all__ = ["CountersByPath"]

MOST_PATHS = 100
"""Paths that have counters of their own. Each costs a monitoring system some sixty series."""


class CountersByPath:
    """Counters by the path that was registered, such as ``/rooms/{room}``, and never by one that a client asked for.

    A path keeps its counters when its resource ends or is registered again, so that no count ever falls. Paths beyond
    the first hundred share theirs. A resource that only a dispatcher or ``deliver_to`` leads to goes by the name of its
    class.
    """

    def __init__(self) -> None:
        self.by_path: dict[str, PathCounters] = {}
        self._tables: list[RoutingTable] = []
        self._paths: dict[int, str] | None = None

    def learn(self, tables: Iterable[RoutingTable]) -> None:
        """Take note of the paths that are registered now."""
        self._tables = list(tables)
        self._paths = None

    def of(self, target: Resource[Any] | Factory) -> PathCounters:
        """Return the counters of a resource, or of the factory that made it."""
        if self._paths is None:
            self._paths = {}
            for table in self._tables:
                for path, registration in table.registrations():
                    self._paths.setdefault(id(registration.resource), path)
        path = self._paths.get(id(target)) or f"({type(target).__name__})"
        if path not in self.by_path and len(self.by_path) >= MOST_PATHS:
            path = OTHER
        return self.by_path.setdefault(path, PathCounters(path))
