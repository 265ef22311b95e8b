"""Finds the counterpart of a life in another process: by its path, never by its object."""

from __future__ import annotations

from collections.abc import Hashable

from wsframe.hooks.listener import Listener
from wsframe.hooks.listeners import Roster
from wsframe.http.paths import normalized_request_path
from wsframe.http.request import Request
from wsframe.http.responses import refusing
from wsframe.log import quoted
from wsframe.resources.resource import Resource
from wsframe.resources.routing.factories import Factory

__all__ = ["Address", "address_of", "join_at"]

Address = tuple[str, str]
"""``registered`` or ``made``, and the path: as it was registered, or as it was first asked for."""


def address_of(roster: Roster, life: Listener) -> Address | None:
    """Return the address of a life; None if only a dispatcher or ``deliver_to`` leads to it."""
    maker = roster.made.makers.get(id(life.resource))
    if maker is not None:
        return "made", maker[1]
    for registry in roster.registries:
        for path, registration in registry.table.registrations():
            if registration.resource is life.resource:
                return "registered", path
    return None


def join_at(roster: Roster, address: Address, request: Request | None) -> Listener:
    """Return the life at an address, and take one seat of it; start it if it does not run.

    Args:
        roster: The lives of this process.
        address: Where it was in the other process.
        request: The request of one of its clients, for a factory; None if it has none.

    Raises:
        Reject: If there is none here.
    """
    kind, path = address
    request = request or Request(path, [])
    if kind == "made":
        there, came_by = place_at(roster, path), place_at(roster, request.path)
        if there is None:
            raise refusing(404, f"no factory at {quoted(path)}")
        if came_by is None or came_by[::2] != there[::2]:  # the client has moved here from another resource
            _, request = roster.registries.at(path, request)
            came_by = there
        factory, request.path_params, _ = came_by
        return roster.join(factory, request)
    for registry in roster.registries:
        for written, registration in registry.table.registrations():
            if written == path and isinstance(registration.resource, Resource):
                return roster.join(registration.resource, request)
    raise refusing(404, f"no resource at {quoted(path)}")


def place_at(roster: Roster, path: str) -> tuple[Factory, dict[str, str], Hashable] | None:
    """Return the factory for a path, the parameters in it, and the place of its resource; None if there is none."""
    target, params = roster.registries.lookup(path) or (None, {})
    if not isinstance(target, Factory):
        return None
    return target, params, target.place(normalized_request_path(path), params)
