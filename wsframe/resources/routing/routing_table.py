"""Finds the registration that answers a path or a request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from wsframe.http.origins import OriginValidator
from wsframe.http.paths import REST, normalized_request_path
from wsframe.http.request import Request
from wsframe.resources.resource import Resource
from wsframe.resources.routing.factories import Dispatcher, Factory, ask
from wsframe.resources.routing.path_table import PathTable, normal
from wsframe.workers.partitions import Scope

__all__ = ["Registration", "RoutingTable"]


class Registration(NamedTuple):
    """A resource or a factory, with the validator of the origins that can open it."""

    resource: Resource | Factory
    origins: OriginValidator
    path: str = ""
    """As it was registered; empty for a resource that a dispatcher has chosen."""
    scope: Scope = "one"
    """Of the resource when it was registered, or of the factory."""


@dataclass(slots=True)
class RoutingTable:
    """The registrations of one registry: exact paths, patterns, dispatchers; asked in this order, ``"*"`` last."""

    _paths: PathTable[Registration] = field(default_factory=PathTable)
    dispatchers: list[tuple[Dispatcher, OriginValidator]] = field(default_factory=list)
    """In the order asked, each with its origins."""

    def __len__(self) -> int:
        return len(self._paths) + len(self.dispatchers)

    def copy(self) -> RoutingTable:
        """Return a table of the same registrations."""
        return RoutingTable(self._paths.copy(), self.dispatchers.copy())

    def put(self, path: str, registration: Registration, *, ignore_case: bool = False) -> Registration | None:
        """Register for a path; return the registration that was there before.

        Raises:
            TypeError, ValueError: As :meth:`PathTable.put` does.
        """
        return self._paths.put(path, registration, ignore_case=ignore_case)

    def take(self, path: str) -> Registration | None:
        """Remove the registration of a path, written as it was put, and return it."""
        return self._paths.take(path)

    def answer(self, request: Request) -> tuple[Registration, dict[str, str]] | None:
        """Return the registration for a request and the text that the ``{name}`` segments of its path matched.

        Raises:
            Reject: The one that a dispatcher raised, or 500.
        """
        found = self._paths.match(normalized_request_path(request.path), request.path)
        if found is not None:
            return found
        for dispatcher, origins in tuple(self.dispatchers):
            resource = ask(dispatcher, request)
            if resource is not None:
                return Registration(resource, origins), {}
        return self._paths.match(REST, REST)

    def match(self, path: str, as_sent: str) -> tuple[Registration, dict[str, str]] | None:
        """Return the registration of a path, ``"*"`` apart; arguments and result as for :meth:`PathTable.match`."""
        return self._paths.match(path, as_sent)

    def rest(self) -> tuple[Registration, dict[str, str]] | None:
        """Return the registration for ``"*"``."""
        return self._paths.match(REST, REST)

    def answer_unasked(self, request: Request) -> tuple[Registration, dict[str, str]] | None:
        """Return the answer if no dispatcher has to be asked; None if one has to, or if there is no answer."""
        found = self._paths.match(normalized_request_path(request.path), request.path)
        return found if found is not None or self.dispatchers else self._paths.match(REST, REST)

    def lookup(self, path: str) -> tuple[Registration, dict[str, str]] | None:
        """Return the registration for ``path`` and the text its ``{name}`` segments matched; ask no dispatcher."""
        return self._paths.match(normal(path), path) or self._paths.match(REST, REST)

    def covers(self, path: str) -> bool:
        """Return whether a request for a path, as the client wrote it, can lead to a resource; ask no dispatcher."""
        return (
            bool(self.dispatchers)
            or (self._paths.match(normalized_request_path(path), path) or self._paths.match(REST, REST)) is not None
        )

    def registrations(self) -> Iterator[tuple[str, Registration]]:
        """Yield each path with its registration, exact paths first."""
        return self._paths.entries()

    def resources(self) -> Iterator[Resource]:
        """Yield the resource of each path; one with several paths comes up several times."""
        for _, registration in self.registrations():
            if not isinstance(registration.resource, Factory):
                yield registration.resource

    def factories(self) -> Iterator[Factory]:
        """Yield the factory of each path that has one."""
        for _, registration in self.registrations():
            if isinstance(registration.resource, Factory):
                yield registration.resource
