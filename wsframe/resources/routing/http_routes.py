"""Finds the HTTP handler of a registry that answers a request."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from typing import NamedTuple

from wsframe.http.origins import OriginValidator
from wsframe.http.paths import REST, normalized_request_path
from wsframe.http.request import Request
from wsframe.http.responses import HttpHandler
from wsframe.resources.routing.path_table import PathTable

__all__ = ["BELOW", "HttpRoute", "HttpRoutes"]

BELOW = "/*"
"""The end of a path that stands for all paths below it."""


class HttpRoute(NamedTuple):
    """A handler, with the validator of the origins whose pages can change something by it."""

    handler: HttpHandler
    origins: OriginValidator


@dataclass(slots=True)
class HttpRoutes:
    """The routes of one registry: exact paths, patterns, then the longest ``/*``, and ``"*"`` last."""

    _paths: PathTable[HttpRoute] = field(default_factory=PathTable)
    _below: dict[int, PathTable[HttpRoute]] = field(default_factory=dict)
    """Routes that end in ``/*``, without the ``*``, by the number of slashes in them."""

    def __len__(self) -> int:
        return len(self._paths) + sum(map(len, self._below.values()))

    def copy(self) -> HttpRoutes:
        """Return a table of the same routes."""
        return HttpRoutes(self._paths.copy(), {depth: table.copy() for depth, table in self._below.items()})

    def put(self, path: str, route: HttpRoute) -> HttpRoute | None:
        """Add a route; return the one that was there before.

        Raises:
            ValueError: For a path as in :meth:`PathTable.put`.
        """
        if not path.endswith(BELOW):
            return self._paths.put(path, route)
        table: PathTable[HttpRoute] = self._below.get(path.count("/"), PathTable())
        former = table.put(path[:-1], route)
        self._below[path.count("/")] = table  # only now: it may have been refused
        return former

    def take(self, path: str) -> HttpRoute | None:
        """Remove the route of a path, written as it was put, and return it."""
        if not path.endswith(BELOW):
            return self._paths.take(path)
        return self._below.get(path.count("/"), PathTable[HttpRoute]()).take(path[:-1])

    def answer(self, request: Request) -> tuple[HttpRoute, Request] | None:
        """Return the route for a request, and the request as the handler sees it: without the path that led to it."""
        path, sent = normalized_request_path(request.path), request.path
        found = None if path == REST else self._paths.match(path, sent)  # OPTIONS can ask for "*" itself
        if found is not None:
            return found[0], seen(request, "/", found[1])
        segments, values = path.split("/"), sent.split("/")
        for depth in sorted(self._below, reverse=True):
            if depth < len(segments):
                above, above_sent = ("/".join([*parts[:depth], ""]) for parts in (segments, values))
                found = self._below[depth].match(above, above_sent)
                if found is not None:
                    return found[0], seen(request, f"/{'/'.join(values[depth:])}", found[1])
        found = self._paths.match(REST, REST)
        return None if found is None else (found[0], request)

    def entries(self) -> Iterator[tuple[str, HttpRoute]]:
        """Yield each path with its route, in the order asked."""
        last = []
        for path, route in self._paths.entries():
            if path == REST:
                last.append((path, route))
            else:
                yield path, route
        for depth in sorted(self._below, reverse=True):
            for path, route in self._below[depth].entries():
                yield f"{path}*", route
        yield from last


def seen(request: Request, path: str, params: dict[str, str]) -> Request:
    """Return a request as the handler at a place sees it."""
    there = copy(request)
    there.path = path
    if params:
        there.path_params = params
    return there
