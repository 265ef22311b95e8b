"""Serving one path with functions, in one call: :func:`serve_handlers` and :func:`run_handlers`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack, cast

import trio

from wsframe.http.origins import OriginValidator
from wsframe.resources.functions import Functions, check_names, define_resource
from wsframe.resources.registry import Registry
from wsframe.resources.server import Server
from wsframe.server.run import ServeOptions, run, serve

__all__ = ["HandlerOptions", "run_handlers", "serve_handlers"]


class HandlerOptions(Functions, ServeOptions, total=False):
    """The functions of a resource and the options of a server; :func:`serve_handlers` describes them."""

    path: str | None
    origins: OriginValidator
    ignore_case: bool


async def serve_handlers(
    *, task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED, **options: Unpack[HandlerOptions]
) -> None:
    """Serve one path with functions, until cancelled or closed.

    Args:
        path: The path, ``"/"`` by default; None answers every path.
        open, message, close, error, request_verifier, ordering, origins: As for :func:`define_resource`.
        ignore_case: Whether ``/WS`` is ``/ws``; by default it is, as in easy-websocket.
        task_status: As for :func:`serve`, which describes the other ``options`` too: ``http_handler`` answers
            requests that ask for no WebSocket.

    Source: easy-websocket ``start``.
    """
    registry, of_server = registered(options)
    await serve(registry, task_status=task_status, **of_server)


def run_handlers(*, started: Callable[[Server], object] | None = None, **options: Unpack[HandlerOptions]) -> None:
    """Serve one path with functions as the whole program, until SIGINT or SIGTERM; see :func:`run`.

    The other arguments are those of :func:`serve_handlers`.
    """
    registry, of_server = registered(options)
    run(registry, started=started, **of_server)


def registered(options: HandlerOptions) -> tuple[Registry, ServeOptions]:
    """Register the functions among the options; return their registry and the options of the server."""
    check_names(options)
    functions: dict[str, Any] = {name: value for name, value in options.items() if name in FUNCTIONS}
    of_server = {name: value for name, value in options.items() if name not in FUNCTIONS and name != "path"}
    path, registry = options.get("path", "/"), Registry()
    define_resource("*" if path is None else path, registry=registry, **{"ignore_case": True, **functions})
    return registry, cast(ServeOptions, of_server)


FUNCTIONS = {*Functions.__annotations__, "origins", "ignore_case"}
