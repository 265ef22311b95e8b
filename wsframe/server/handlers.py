"""Serving one path with functions, in one call: :func:`serve_handlers` and :func:`run_handlers`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack, cast

import trio

from wsframe.http.origins import OriginValidator
from wsframe.resources.functions import Functions, check_names, define_resource
from wsframe.resources.routing.registry import Registry
from wsframe.resources.server import Server
from wsframe.server.logs.stderr_log import LogFormat, LogLevel
from wsframe.server.options import ServeKeywords, ServeOptions
from wsframe.server.run import run, serve

__all__ = ["HandlerKeywords", "run_handlers", "serve_handlers"]


class HandlerKeywords(Functions, ServeKeywords, total=False):
    """The functions of a resource and the options of a server; :func:`serve_handlers` describes them."""

    path: str | None
    origins: OriginValidator
    ignore_case: bool


async def serve_handlers(
    *,
    options: ServeOptions | None = None,
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
    **keywords: Unpack[HandlerKeywords],
) -> None:
    """Serve one path with functions, until cancelled or closed.

    Args:
        path: The path, ``"/"`` by default; None answers every path.
        open, message, close, error, request_verifier, ordering, scope, origins: As for :func:`define_resource`.
        ignore_case: Whether ``/WS`` equals ``/ws``; by default it does, as in easy-websocket.
        options, task_status: As for :func:`serve`, and so are the other keywords: ``http_handler`` answers
            requests that do not ask for a WebSocket.
    """
    registry, of_server = registered(keywords)
    await serve(registry, options=options, task_status=task_status, **of_server)


def run_handlers(
    *,
    options: ServeOptions | None = None,
    started: Callable[[Server], object] | None = None,
    log_level: LogLevel | None = None,
    log_format: LogFormat = "text",
    **keywords: Unpack[HandlerKeywords],
) -> None:
    """Serve one path with functions as the whole program, until SIGINT or SIGTERM; see :func:`run`.

    The other arguments are those of :func:`serve_handlers`.
    """
    registry, of_server = registered(keywords)
    run(registry, options=options, started=started, log_level=log_level, log_format=log_format, **of_server)


def registered(keywords: HandlerKeywords) -> tuple[Registry, ServeKeywords]:
    """Register the functions among the arguments; return their registry and the options of the server."""
    check_names(keywords)
    functions: dict[str, Any] = {name: value for name, value in keywords.items() if name in FUNCTIONS}
    of_server = {name: value for name, value in keywords.items() if name not in FUNCTIONS and name != "path"}
    path, registry = keywords.get("path", "/"), Registry()
    define_resource("*" if path is None else path, registry=registry, **{"ignore_case": True, **functions})
    return registry, cast(ServeKeywords, of_server)


FUNCTIONS = {*Functions.__annotations__, "origins", "ignore_case"}
