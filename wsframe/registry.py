"""Which resource answers which path, for one server or for all in the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from wsframe.origins import OriginValidator, same_origin
from wsframe.resource import Resource

__all__ = [
    "Registration",
    "Registry",
    "find_global_resource",
    "global_registry",
    "register_global_resource",
    "unregister_global_resource",
]


class Registration(NamedTuple):
    """A resource with the validator of the origins that may open it."""

    resource: Resource
    origins: OriginValidator


class Registry:
    """The resources of one server, by path.

    A path is exact and case-sensitive, or has ``{name}`` segments that match any one
    segment each; exact paths win. Registering and unregistering work while serving.
    Source: clws ``*resources*``.
    """

    def __init__(self) -> None:
        self._exact: dict[str, Registration] = {}
        self._patterns: dict[tuple[str, ...], Registration] = {}
        self._watchers: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._exact) + len(self._patterns)

    def __repr__(self) -> str:
        return f"<Registry {', '.join(self.paths()) or 'empty'}>"

    def register(self, path: str, resource: Resource, origins: OriginValidator = same_origin) -> None:
        """Register a resource under a path.

        A path registered before is replaced: clients already connected keep the old
        resource, which ends with its last client. One resource may have many paths.

        Raises:
            TypeError: For a class instead of an object of it, or a validator that cannot be called.
            ValueError: For a path that does not begin with ``/``, or has a query.
            RuntimeError: If the resource is running in another server already. Nothing is
                registered then.
        """
        if isinstance(resource, type):
            raise TypeError(f"register an object, not the class: {resource.__name__}()")
        if not isinstance(resource, Resource):
            raise TypeError(f"a resource is an object of a Resource subclass, not {type(resource).__name__}")
        if not callable(origins):
            raise TypeError(f"origins must be a validator such as origin_exact(...), not {type(origins).__name__}")
        if not path.startswith("/") or "?" in path or "#" in path:
            raise ValueError(f"a path begins with '/' and has no '?' or '#': {path!r}")
        registration = Registration(resource, origins)
        exact, patterns = self._exact.copy(), self._patterns.copy()
        if "{" in path:
            self._patterns[pattern_of(path)] = registration
        else:
            self._exact[path] = registration
        try:
            self._tell()
        except BaseException:
            # A registration that one server refuses would make every later change fail too.
            self._exact, self._patterns = exact, patterns
            self._tell()
            raise

    def unregister(self, path: str) -> bool:
        """Forget a path; return whether it was registered. Connected clients stay."""
        found = self._patterns.pop(pattern_of(path), None) if "{" in path else self._exact.pop(path, None)
        self._tell()
        return found is not None

    def find(self, path: str) -> Resource | None:
        """Return the resource that answers ``path``; None if there is none."""
        found = self.lookup(path)
        return None if found is None else found[0].resource

    def lookup(self, path: str) -> tuple[Registration, dict[str, str]] | None:
        """Return the registration for ``path`` and what its ``{name}`` segments matched."""
        exact = self._exact.get(path)
        if exact is not None:
            return exact, {}
        segments = path.split("/") if self._patterns else []
        for pattern, registration in self._patterns.items():
            params = matched(pattern, segments)
            if params is not None:
                return registration, params
        return None

    def paths(self) -> list[str]:
        """Return the registered paths, exact ones first."""
        return [*self._exact, *("/".join(pattern) for pattern in self._patterns)]

    def resources(self) -> Iterator[Resource]:
        """Yield the resource of each path; one with several paths comes up several times."""
        for registration in (*self._exact.values(), *self._patterns.values()):
            yield registration.resource

    def watch(self, tell: Callable[[], None]) -> None:
        """Have ``tell`` called after each change."""
        self._watchers.append(tell)

    def unwatch(self, tell: Callable[[], None]) -> None:
        """Stop calling ``tell``."""
        self._watchers.remove(tell)

    def _tell(self) -> None:
        for tell in tuple(self._watchers):
            tell()


def pattern_of(path: str) -> tuple[str, ...]:
    segments = tuple(path.split("/"))
    names = [segment[1:-1] for segment in segments if segment.startswith("{") and segment.endswith("}")]
    if sum(segment.count("{") + segment.count("}") for segment in segments) != 2 * len(names):
        raise ValueError(f"a parameter is a whole segment, such as /rooms/{{room}}: {path!r}")
    if not all(name.isidentifier() for name in names) or len(set(names)) < len(names):
        raise ValueError(f"the names of parameters are different identifiers: {path!r}")
    return segments


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


global_registry = Registry()
"""The registry of the whole process, asked after a server's own."""


def register_global_resource(path: str, resource: Resource, origins: OriginValidator = same_origin) -> None:
    """Register a resource in the global registry; see :meth:`Registry.register`.

    Source: clws ``register-global-resource``.
    """
    global_registry.register(path, resource, origins)


def find_global_resource(path: str) -> Resource | None:
    """Return the globally registered resource for ``path``. Source: clws ``find-global-resource``."""
    return global_registry.find(path)


def unregister_global_resource(path: str) -> bool:
    """Forget a global path; return whether it was registered. Source: clws ``unregister-global-resource``."""
    return global_registry.unregister(path)
