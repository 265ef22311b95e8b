"""``wsframe routes``: list the resources and HTTP routes of a target without serving it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from wsframe.cli.arguments import add_parser, workers
from wsframe.cli.tables import columns
from wsframe.cli.target import TARGET_HELP, load_target
from wsframe.http.handler_marks import workers_of
from wsframe.http.responses import HttpHandler
from wsframe.limits import INHERIT
from wsframe.protocol.deflate import Deflate
from wsframe.resources.resource import Resource
from wsframe.resources.routing.factories import Factory, written_name
from wsframe.resources.routing.registry import Registry, served_with
from wsframe.resources.routing.routing_table import Registration
from wsframe.server.service.service import worker_count
from wsframe.workers.partitions import partition_of, slot_of

if TYPE_CHECKING:
    from wsframe.cli.arguments import Commands

__all__ = ["add_command"]

EXAMPLES = """\
  wsframe routes chat.py
  wsframe routes myproject.chat:registry --json
"""

PLAIN = (
    "max_clients", "overflow", "ordering", "error_close_code", "subprotocols", "on_hook_failed", "cancel_on_disconnect",
    "scope",
)  # fmt: skip


def add_command(commands: Commands) -> None:
    parser = add_parser(
        commands,
        "routes",
        help="list the resources and HTTP routes that a module registers",
        description="List the resources that a module or file registers: path, class, allowed origins, and the "
        "options that the resource sets itself; then its HTTP routes.",
        examples=EXAMPLES,
    )
    parser.add_argument("target", metavar="TARGET", help=TARGET_HELP)
    parser.add_argument(
        "--workers", type=workers, metavar="N", help="also say in which of N workers each path would live"
    )
    parser.add_argument("--json", action="store_true", help="print JSON objects, one per path and line")
    parser.set_defaults(command=print_routes)


def print_routes(args: argparse.Namespace) -> None:
    _, registry = load_target(args.target, debug=False)
    count = None if args.workers is None else worker_count(args.workers)
    routes = [route for one in served_with(registry) for route in routes_of(one, count)]
    if args.json:
        for route in routes:
            print(json.dumps(route))
        return
    rows = [
        [route["path"], route["resource"], route["origins"], " ".join(f"{k}={v}" for k, v in route["options"].items())]
        for route in routes
    ]
    header = ["PATH", "RESOURCE", "ORIGINS", "OPTIONS"]
    if count is not None:
        header.insert(1, "WORKER")
        rows = [[row[0], route["worker"], *row[1:]] for row, route in zip(rows, routes, strict=True)]
    for line in columns(header, rows):
        print(line)


def routes_of(registry: Registry, count: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the routes of a registry; with a number of workers, each with the one in which it would live."""
    for path, registration in registry.table.registrations():
        yield route_of(path, registration) | placed(count, worker_of(registration, count or 1))
    for dispatcher, origins in registry.table.dispatchers:
        yield route("(dispatcher)", f"{written_name(dispatcher)}()", origins, {}) | placed(count, "0")
    for path, page in registry.http_routes.entries():
        yield route(path, f"HTTP {handler_name(page.handler)}", page.origins, {}) | placed(
            count, workers_of(page.handler)
        )


def placed(count: int | None, worker: str) -> dict[str, str]:
    return {} if count is None else {"worker": worker}


def worker_of(registration: Registration, count: int) -> str:
    """Say in which worker a registration would live: its number, all, or one for each path."""
    scope = registration.scope
    if scope == "path" and isinstance(registration.resource, Factory):
        return "one for each path"
    return "all" if scope == "shared" else str(slot_of(partition_of(registration.path, scope), count))


def route_of(path: str, registration: Registration) -> dict[str, Any]:
    resource, origins = registration.resource, registration.origins
    if not isinstance(resource, Factory):
        return route(path, f"{type(resource).__module__}.{type(resource).__qualname__}", origins, options_of(resource))
    scope = {} if resource.scope == "one" else {"scope": resource.scope}
    options = {"max_resources": str(resource.max_resources), "linger": f"{resource.linger:g}", **scope}
    return route(path, f"{written_name(resource.make)}()", origins, options)


def route(path: str, resource: str, origins: Callable[..., object], options: dict[str, str]) -> dict[str, Any]:
    return {"path": path, "resource": resource, "origins": written_name(origins), "options": options}


def handler_name(handler: HttpHandler) -> str:
    """Name a handler as the module that registers it does."""
    name, module = written_name(handler), str(getattr(handler, "__module__", ""))
    return name if module.startswith("wsframe.") or not module else f"{module}.{name}"


def options_of(resource: Resource) -> dict[str, str]:
    """Return the options that the resource sets itself."""
    found = {
        field.name: str(getattr(options, field.name))
        for options in (resource.limits, resource.timeouts)
        for field in fields(options)
        if getattr(options, field.name) != INHERIT
    }
    for name in PLAIN:
        if getattr(resource, name) != getattr(Resource, name):
            found[name] = shown(getattr(resource, name))
    if resource.deflate != INHERIT:
        found["deflate"] = resource.deflate.mode if isinstance(resource.deflate, Deflate) else "none"
    return found


def shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)
