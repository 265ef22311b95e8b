"""Which registration answers which path or request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from wsframe.http.origins import OriginValidator
from wsframe.http.paths import REST, asked, check_path, folded, is_name, written
from wsframe.http.request import Request
from wsframe.resources.factories import Dispatcher, Factory, ask
from wsframe.resources.resource import Resource

__all__ = ["Registration", "RoutingTable"]


class Registration(NamedTuple):
    """A resource or a factory, with the validator of the origins that can open it."""

    resource: Resource | Factory
    origins: OriginValidator


class Route(NamedTuple):
    """A registration and the path it is for."""

    path: str
    segments: tuple[str, ...]
    registration: Registration
    ignore_case: bool


@dataclass(slots=True)
class RoutingTable:
    """The registrations of one registry: exact paths, patterns, dispatchers; asked in this order, ``"*"`` last.

    Of exact paths and of patterns those are asked first for which the case of letters counts.
    """

    _exact: dict[str, Route] = field(default_factory=dict)
    _folded: dict[str, Route] = field(default_factory=dict)
    """Those with any case, by the path in lower case."""
    _patterns: dict[str, Route] = field(default_factory=dict)
    dispatchers: list[tuple[Dispatcher, OriginValidator]] = field(default_factory=list)
    """In the order asked, each with its origins."""

    def __len__(self) -> int:
        return len(self._exact) + len(self._folded) + len(self._patterns) + len(self.dispatchers)

    def copy(self) -> RoutingTable:
        """Return a table of the same registrations."""
        return RoutingTable(self._exact.copy(), self._folded.copy(), self._patterns.copy(), self.dispatchers.copy())

    def put(self, path: str, registration: Registration, *, ignore_case: bool = False) -> Registration | None:
        """Register for a path; return the registration that was there before.

        Raises:
            TypeError: For a path that is not a str, or ``ignore_case`` that is neither True nor False.
            ValueError: For a path that does not begin with ``/``, or has a query or wrong parameters,
                or that no client can ask for, or that differs from one that is registered in the names
                of parameters alone.
        """
        if not isinstance(ignore_case, bool):
            raise TypeError(f"ignore_case is True or False, not {ignore_case!r}")
        path = check_path(path)
        route = Route(path, tuple(path.split("/")), registration, ignore_case)
        if "{" in path:
            for other in self._patterns.values():
                if other.path != path and alike(other, route):
                    raise ValueError(f"{path!r} is registered already, as {other.path!r}")
            former = self._patterns.get(path)
            self._patterns[path] = route
            return None if former is None else former.registration
        former = self._exact.pop(path, None)
        loose = self._folded.get(folded(path))
        if loose is not None and (ignore_case or loose.path == path):
            former = self._folded.pop(folded(path))
        if ignore_case:
            self._folded[folded(path)] = route
        else:
            self._exact[path] = route
        return None if former is None else former.registration

    def take(self, path: str) -> Registration | None:
        """Remove the registration of a path, written as it was put, and return it."""
        path = normal(path)
        if "{" in path:
            route = self._patterns.pop(path, None)
        else:
            route = self._exact.pop(path, None) or self._folded.pop(folded(path), None)
        return None if route is None else route.registration

    def answer(self, request: Request) -> tuple[Registration, dict[str, str]] | None:
        """Return the registration for a request and the text that the ``{name}`` segments of its path matched.

        Raises:
            Reject: The one that a dispatcher raised, or 500.
        """
        found = self._match(asked(request.path), request.path)
        if found is not None:
            return found
        for dispatcher, origins in tuple(self.dispatchers):
            resource = ask(dispatcher, request)
            if resource is not None:
                return Registration(resource, origins), {}
        return self._match(REST, REST)

    def lookup(self, path: str) -> tuple[Registration, dict[str, str]] | None:
        """Return the registration for ``path`` and the text its ``{name}`` segments matched; ask no dispatcher."""
        return self._match(normal(path), path) or self._match(REST, REST)

    def _match(self, path: str, as_sent: str) -> tuple[Registration, dict[str, str]] | None:
        route = self._exact.get(path) or (self._folded.get(folded(path)) if self._folded else None)
        if route is not None:
            return route.registration, {}
        if self._patterns:
            segments, values = path.split("/"), as_sent.split("/")
            for ignore_case in (False, True):
                for route in self._patterns.values():
                    if route.ignore_case is ignore_case:
                        params = matched(route, segments, values)
                        if params is not None:
                            return route.registration, params
        return None

    def registrations(self) -> Iterator[tuple[str, Registration]]:
        """Yield each path with its registration, exact paths first."""
        for routes in (self._exact, self._folded, self._patterns):
            for route in routes.values():
                yield route.path, route.registration

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


def normal(path: object) -> str:
    """Return a path as it would have been registered.

    Raises:
        TypeError: For a path that is not a str.
    """
    if not isinstance(path, str):
        raise TypeError(f"a path is a str, not {type(path).__name__}")
    return "/".join(one if is_name(one) else written(one) for one in path.split("/"))


def alike(one: Route, other: Route) -> bool:
    """Return whether two patterns match the same paths."""
    return one.ignore_case is other.ignore_case and nameless(one) == nameless(other)


def nameless(route: Route) -> list[str]:
    segments = ["{}" if is_name(segment) else segment for segment in route.segments]
    return [folded(segment) for segment in segments] if route.ignore_case else segments


def matched(route: Route, segments: list[str], values: list[str]) -> dict[str, str] | None:
    if len(route.segments) != len(segments):
        return None
    params: dict[str, str] = {}
    for wanted, segment, value in zip(route.segments, segments, values, strict=True):
        if is_name(wanted) and segment:
            params[wanted[1:-1]] = value
        elif wanted != segment and not (route.ignore_case and folded(wanted) == folded(segment)):
            return None
    return params
