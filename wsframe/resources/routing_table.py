"""Which registration answers which path or request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from wsframe.http.origins import OriginValidator
from wsframe.http.request import Request
from wsframe.resources.factories import Dispatcher, Factory, ask
from wsframe.resources.resource import Resource

__all__ = ["Registration", "RoutingTable"]

REST = "*"


class Registration(NamedTuple):
    """A resource, or what makes some, with the validator of the origins that may open it."""

    resource: Resource | Factory
    origins: OriginValidator


@dataclass(slots=True)
class RoutingTable:
    """What is registered in one registry: exact paths, patterns, dispatchers; asked in this order, ``"*"`` last."""

    _exact: dict[str, Registration] = field(default_factory=dict)
    _patterns: dict[tuple[str, ...], Registration] = field(default_factory=dict)
    dispatchers: list[tuple[Dispatcher, OriginValidator]] = field(default_factory=list)
    """In the order asked, each with its origins."""

    def __len__(self) -> int:
        return len(self._exact) + len(self._patterns) + len(self.dispatchers)

    def copy(self) -> RoutingTable:
        """Return a table of the same registrations."""
        return RoutingTable(self._exact.copy(), self._patterns.copy(), self.dispatchers.copy())

    def put(self, path: str, registration: Registration) -> None:
        """Register for a path, in the place of what was there.

        Raises:
            TypeError: For a path that is no str.
            ValueError: For a path that does not begin with ``/``, or has a query or wrong parameters,
                or that differs from one that is registered in the names of parameters alone.
        """
        if not isinstance(path, str):
            raise TypeError(f"a path is a str, not {type(path).__name__}")
        if path != REST and (not path.startswith("/") or "?" in path or "#" in path):
            raise ValueError(f"a path begins with '/' and has no '?' or '#': {path!r}")
        if "{" in path:
            pattern = pattern_of(path)
            for other in self._patterns:
                if other != pattern and nameless(other) == nameless(pattern):
                    raise ValueError(f"{path!r} is registered already, as {'/'.join(other)!r}")
            self._patterns[pattern] = registration
        else:
            self._exact[path] = registration

    def take(self, path: str) -> Registration | None:
        """Remove the registration of a path, written as it was put, and return it."""
        return self._patterns.pop(tuple(path.split("/")), None) if "{" in path else self._exact.pop(path, None)

    def answer(self, request: Request) -> tuple[Registration, dict[str, str]] | None:
        """Return the registration for a request and what the ``{name}`` segments of its path matched.

        Raises:
            Reject: What a dispatcher raised, or 500.
        """
        found = self._match(request.path)
        if found is not None:
            return found
        for dispatcher, origins in tuple(self.dispatchers):
            resource = ask(dispatcher, request)
            if resource is not None:
                return Registration(resource, origins), {}
        return self.lookup(REST)

    def lookup(self, path: str) -> tuple[Registration, dict[str, str]] | None:
        """Return the registration for ``path`` and what its ``{name}`` segments matched; dispatchers are not asked."""
        return self._match(path) or self._match(REST)

    def _match(self, path: str) -> tuple[Registration, dict[str, str]] | None:
        exact = self._exact.get(path)
        if exact is not None:
            return exact, {}
        segments = path.split("/") if self._patterns else []
        for pattern, registration in self._patterns.items():
            params = matched(pattern, segments)
            if params is not None:
                return registration, params
        return None

    def registrations(self) -> Iterator[tuple[str, Registration]]:
        """Yield each path with what is registered there, exact paths first."""
        yield from self._exact.items()
        for pattern, registration in self._patterns.items():
            yield "/".join(pattern), registration

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


def pattern_of(path: str) -> tuple[str, ...]:
    segments = tuple(path.split("/"))
    names = [segment[1:-1] for segment in segments if segment.startswith("{") and segment.endswith("}")]
    if sum(segment.count("{") + segment.count("}") for segment in segments) != 2 * len(names):
        raise ValueError(f"a parameter is a whole segment, such as /rooms/{{room}}: {path!r}")
    if not all(name.isidentifier() for name in names) or len(set(names)) < len(names):
        raise ValueError(f"the names of parameters are different identifiers: {path!r}")
    return segments


def nameless(pattern: tuple[str, ...]) -> list[str]:
    return ["{}" if segment.startswith("{") else segment for segment in pattern]


def matched(pattern: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    params: dict[str, str] = {}
    for wanted, segment in zip(pattern, segments, strict=True):
        if wanted.startswith("{") and segment:
            params[wanted[1:-1]] = segment
        elif wanted != segment:
            return None
    return params
