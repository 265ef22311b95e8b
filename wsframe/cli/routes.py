"""``wsframe routes``: list the resources and HTTP routes of a target without serving it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from wsframe.cli.arguments import add_parser
from wsframe.cli.tables import columns
from wsframe.cli.target import TARGET_HELP, load_target
from wsframe.http.responses import HttpHandler
from wsframe.limits import INHERIT
from wsframe.protocol.deflate import Deflate
from wsframe.resources.factories import Factory, written_name
from wsframe.resources.registry import Registry, served_with
from wsframe.resources.resource import Resource
from wsframe.resources.routing_table import Registration

if TYPE_CHECKING:
    from wsframe.cli.arguments import Commands

__all__ = ["add_command"]

EXAMPLES = """\
  wsframe routes chat.py
  wsframe routes myproject.chat:registry --json
"""

PLAIN = (
    "max_clients", "overflow", "ordering", "error_close_code", "subprotocols", "on_hook_failed", "cancel_on_disconnect",
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
    parser.add_argument("--json", action="store_true", help="print JSON objects, one per path and line")
    parser.set_defaults(command=print_routes)


def print_routes(args: argparse.Namespace) -> None:
    _, registry = load_target(args.target, debug=False)
    routes = [route for one in served_with(registry) for route in routes_of(one)]
    if args.json:
        for route in routes:
            print(json.dumps(route))
        return
    rows = [
        [route["path"], route["resource"], route["origins"], " ".join(f"{k}={v}" for k, v in route["options"].items())]
        for route in routes
    ]
    for line in columns(["PATH", "RESOURCE", "ORIGINS", "OPTIONS"], rows):
        print(line)


def routes_of(registry: Registry) -> Iterator[dict[str, Any]]:
    for path, registration in registry.table.registrations():
        yield route_of(path, registration)
    for dispatcher, origins in registry.table.dispatchers:
        yield route("(dispatcher)", f"{written_name(dispatcher)}()", origins, {})
    for path, page in registry.http_routes.entries():
        yield route(path, f"HTTP {handler_name(page.handler)}", page.origins, {})


def route_of(path: str, registration: Registration) -> dict[str, Any]:
    resource, origins = registration.resource, registration.origins
    if not isinstance(resource, Factory):
        return route(path, f"{type(resource).__module__}.{type(resource).__qualname__}", origins, options_of(resource))
    options = {"max_resources": str(resource.max_resources), "linger": f"{resource.linger:g}"}
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
