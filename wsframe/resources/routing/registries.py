"""The registries of one server together: which of them has the resource for a path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from re import compile as pattern
from typing import Any

from wsframe.http.paths import normalized_request_path, with_other_slashes
from wsframe.http.request import NO_PARAMS, Request
from wsframe.http.responses import Reject, refusing
from wsframe.log import quoted
from wsframe.resources.resource import Resource
from wsframe.resources.routing.factories import Factory
from wsframe.resources.routing.registry import Registry
from wsframe.resources.routing.routing_table import Registration

__all__ = ["Registries"]

# The paths that a request can ask for: a name that a stranger typed must not make a resource out of his reach.
PATH = pattern(r'/[!"$->@-~]*')


class Registries:
    """Registries in the order in which they are asked for a path: the server's own comes first.

    They compare resources by identity; these need no hash.
    """

    def __init__(self, registries: Iterable[Registry]) -> None:
        self._registries = tuple(registries)

    def __iter__(self) -> Iterator[Registry]:
        return iter(self._registries)

    def watch(self, changed: Callable[[], None], *, frozen: bool = False) -> None:
        """Call a function after each change, from now on; with ``frozen`` there is to be none."""
        for registry in self._registries:
            registry.watchers.add(changed)
            registry.watchers.frozen = frozen

    def unwatch(self, changed: Callable[[], None]) -> None:
        """Call the function no more."""
        for registry in self._registries:
            registry.watchers.remove(changed)
            registry.watchers.frozen = False

    def resources(self) -> dict[int, Resource[Any]]:
        """Return the resources that are registered, by identity."""
        return {id(resource): resource for registry in self._registries for resource in registry.table.resources()}

    def factories(self) -> set[Factory]:
        """Return the factories that are registered."""
        return {factory for registry in self._registries for factory in registry.table.factories()}

    def has(self, resource: Resource[Any]) -> bool:
        """Return whether a resource is registered."""
        return any(resource is other for registry in self._registries for other in registry.table.resources())

    def answer(self, request: Request) -> tuple[Registration, dict[str, str]] | None:
        """Return the registration for a request and the parameters in its path.

        Raises:
            Reject: From a dispatcher, or 500 if it raised anything else.
        """
        for registry in self._registries:
            found = registry.table.answer(request)
            if found is not None:
                return found
        return None

    def answer_unasked(self, request: Request) -> tuple[Registration, dict[str, str]] | None:
        """Return the registration for a request if no dispatcher has to be asked for it; else None."""
        for registry in self._registries:
            found = registry.table.answer_unasked(request)
            if found is not None or registry.table.dispatchers:
                return found
        return None

    def lookup(self, path: str) -> tuple[Resource[Any] | Factory, dict[str, str]] | None:
        """Return the target registered for a path and the parameters in it. This asks no dispatcher."""
        for registry in self._registries:
            found = registry.table.lookup(path)
            if found is not None:
                return found[0].resource, found[1]
        return None

    def refusal(self, request: Request) -> Reject:
        """Make the 404 of a request without a resource; it names a resource that the path misses by slashes alone."""
        near = self._beside(request.path)
        hint = f"; there is one at {quoted(near)}" if near else ""
        return refusing(404, f"no resource at {quoted(request.path)}{hint}")

    def _beside(self, path: str) -> str:
        """Return the registered path that a path would have with other slashes, or an empty text; ask no dispatcher."""
        for other in with_other_slashes(path):
            for registry in self._registries:
                found = registry.table.match(normalized_request_path(other), other)
                if found is not None:
                    return found[0].path
        return ""

    def at(self, path: str, request: Request) -> tuple[Resource[Any] | Factory, Request]:
        """Return the target that a client would find at another path, and its request there.

        Raises:
            Reject: 404 if there is none.
        """
        if not PATH.fullmatch(path):
            raise Reject(404, body="no resource there")
        there = copy(request)
        there.path, there.query_string, there.path_params = path, None, NO_PARAMS
        found = self.answer(there)
        if found is None:
            raise Reject(404, body="no resource there")
        registration, there.path_params = found
        return registration.resource, there
