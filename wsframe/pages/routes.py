"""Several HTTP handlers on one port, by path: enough for a page, its files and a health check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from functools import partial

from wsframe.http.handler_marks import answers_any_host, answers_in_any_worker, at_any_host, in_any_worker
from wsframe.http.paths import check_route, normalized_program_path, normalized_request_path
from wsframe.http.request import Request
from wsframe.http.responses import HttpHandler, Response
from wsframe.resources.check_hooks import check_http_handler

__all__ = ["http_routes"]


def http_routes(routes: Mapping[str, HttpHandler]) -> HttpHandler:
    """Make one ``http_handler`` of several, by path.

    Args:
        routes: Handlers by path. A path that ends in ``/`` includes all paths below it, so ``/``
            includes everything; any other path stands for itself. The longest one wins. The
            answer for a path without a handler is 404.

    Raises:
        ValueError: For a path that does not begin with ``/``, has a query, is there twice, or that no
            client can send.
        TypeError: For anything but a mapping of paths to handlers.

    ``request.path`` of a handler is the part after the handler's own path, from the slash on, or ``/``.
    So a handler does not need to know its place. Paths are compared as those of
    resources are: case-sensitive, not decoded.
    """
    if not isinstance(routes, Mapping):
        raise TypeError(f"http_routes takes handlers by path, such as {{'/': handler}}, not {type(routes).__name__}")
    for path, handler in routes.items():
        check_route(path)
        if "{" in path or "*" in path:
            right = path.partition("{")[0].partition("*")[0].rpartition("/")[0]
            raise ValueError(
                f"routes have no parameters, but one that ends in '/' has all below it: '{right}/', not {path!r}"
            )
        check_http_handler("a handler", handler)
    spelt = {normalized_program_path(path): handler for path, handler in routes.items()}
    if len(spelt) < len(routes):
        raise ValueError(f"a path is there twice, in two spellings: {', '.join(map(repr, routes))}")
    longest_first = sorted(spelt.items(), key=lambda route: len(route[0]), reverse=True)

    def find(request: Request) -> tuple[HttpHandler, Request] | None:
        """Return the handler for a request, and the request as that sees it."""
        sent = normalized_request_path(request.path)
        for path, handler in longest_first:
            if sent == path or (path.endswith("/") and sent.startswith(path)):
                seen = copy(request)
                seen.path = f"/{sent[len(path) :]}"
                return handler, seen
        return None

    async def routed(request: Request) -> Response:
        found = find(request)
        if found is None:
            return Response("not found\n", 404)
        handler, seen = found
        return await handler(seen)

    routed.__qualname__ = f"http_routes({', '.join(map(repr, routes))})"  # lists of routes show it
    routed.__dict__["answers_below"] = True  # a registry looks here
    in_any_worker(routed, partial(ask, find, answers_in_any_worker, True))
    return at_any_host(routed, partial(ask, find, answers_any_host, False))


Found = tuple[HttpHandler, Request]


def ask(
    find: Callable[[Request], Found | None],
    about: Callable[[HttpHandler, Request], bool],
    otherwise: bool,
    request: Request,
) -> bool:
    """Ask about the handler that a request leads to; ``otherwise`` is the answer if there is none."""
    found = find(request)
    return otherwise if found is None else about(*found)
