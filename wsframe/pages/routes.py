"""Several HTTP handlers on one port, by path: enough for a page, its files and a health check."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

from wsframe.http.request import Request
from wsframe.http.responses import HttpHandler, Response
from wsframe.resources.check_hooks import check_http_handler

__all__ = ["http_routes"]


def http_routes(routes: Mapping[str, HttpHandler]) -> HttpHandler:
    """Make one ``http_handler`` of several, by path.

    Args:
        routes: Handlers by path. A path that ends in ``/`` is answered together with all
            below it, ``/`` with everything; any other path alone. The longest wins, and
            what none of them answers is answered 404.

    Raises:
        ValueError: For a path that does not begin with ``/``, or has a query.
        TypeError: For what is no mapping of paths to handlers.

    A handler sees as ``request.path`` what follows its own path, from the slash on; ``/`` if
    nothing does. So it need not know where it has been put. Paths are compared as they were
    sent: case-sensitive, not decoded.
    """
    if not isinstance(routes, Mapping):
        raise TypeError(f"http_routes takes handlers by path, such as {{'/': handler}}, not {type(routes).__name__}")
    for path, handler in routes.items():
        if not isinstance(path, str):
            raise TypeError(f"a path is a str, not {type(path).__name__}")
        if not path.startswith("/") or "?" in path or "#" in path:
            raise ValueError(f"a path begins with '/' and has no '?' or '#': {path!r}")
        check_http_handler("a handler", handler)
    longest_first = sorted(routes.items(), key=lambda route: len(route[0]), reverse=True)

    async def routed(request: Request) -> Response:
        for path, handler in longest_first:
            if request.path == path or (path.endswith("/") and request.path.startswith(path)):
                seen = copy(request)
                seen.path = f"/{request.path[len(path) :]}"
                return await handler(seen)
        return Response("not found\n", 404)

    return routed
