"""Registries of resources and HTTP routes: one for a server, or one for all servers of the process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TypeVar, overload

from wsframe.http.hostnames import browser_origin
from wsframe.http.origins import OriginValidator, origin_exact, origin_prefix, same_origin
from wsframe.http.paths import check_path
from wsframe.http.responses import HttpHandler
from wsframe.log import Log, log_for
from wsframe.resources.check_hooks import check_http_handler, check_plain, check_takes
from wsframe.resources.resource import Resource
from wsframe.resources.routing.factories import Dispatcher, Factory, check_dispatcher, check_resource, written_name
from wsframe.resources.routing.http_routes import BELOW, HttpRoute, HttpRoutes
from wsframe.resources.routing.routing_table import Registration, RoutingTable
from wsframe.resources.routing.watchers import Watchers
from wsframe.workers.partitions import Scope

__all__ = [
    "Registry",
    "find_global_resource",
    "global_registry",
    "register_global_dispatcher",
    "register_global_factory",
    "register_global_resource",
    "register_global_route",
    "served_with",
    "unregister_global_dispatcher",
    "unregister_global_resource",
    "unregister_global_route",
]

logger: Log = log_for(__name__)

HandlerT = TypeVar("HandlerT", bound=HttpHandler)


class Snapshot(NamedTuple):
    """All that is registered in a registry at a time."""

    table: RoutingTable
    http_routes: HttpRoutes


class Registry:
    """The resources and HTTP routes of one server, by path.

    A path is exact and case-sensitive, or has ``{name}`` segments that match any one
    segment each; exact paths win. Letters beyond ASCII, spaces and other characters that a URL has
    percent-encoded may be written either way: ``/café`` is ``/caf%C3%A9``. Dispatchers choose for
    requests that match no path, and ``"*"`` matches the rest. Registering and unregistering
    work while serving, in trio's own thread.

    Args:
        alone: Whether a server with this registry leaves the global one out. The resources of
            the global registry run in one server at a time: of several in a process all but
            one need registries that are alone.
    """

    def __init__(self, *, alone: bool = False) -> None:
        if not isinstance(alone, bool):
            raise TypeError(f"alone is True or False, not {alone!r}")
        self.alone = alone
        self.table: RoutingTable = RoutingTable()
        """The registrations."""
        self.http_routes: HttpRoutes = HttpRoutes()
        """The handlers of requests that do not ask for a WebSocket."""
        self.watchers: Watchers = Watchers()
        self.closing: Resource | Factory | None = None
        """The resource that was unregistered with its clients; only while watchers are called."""

    def __len__(self) -> int:
        return len(self.table) + len(self.http_routes)

    def __repr__(self) -> str:
        routes = [f"HTTP {path}" for path, _ in self.http_routes.entries()]
        names = [*self.paths(), *routes, *(["dispatchers"] if self.table.dispatchers else [])]
        return f"<Registry {', '.join(names) or 'empty'}>"

    def register(
        self, path: str, resource: Resource, origins: OriginValidator = same_origin, *, ignore_case: bool = False
    ) -> None:
        """Register a resource under a path.

        Args:
            path: Such as ``/chat`` or ``/rooms/{room}``.
            resource: An object, not its class.
            origins: The origins whose pages can connect.
            ignore_case: Whether ``/CHAT`` is ``/chat``; the text that a ``{name}`` matches keeps its case. A
                path for which the case counts wins.

        A path registered before is replaced: clients already connected keep the old
        resource, which ends with its last client. One resource may have many paths.
        The path ``"*"`` matches requests that match nothing else.

        Raises:
            TypeError: For a class instead of an object of it, an attribute of a wrong type,
                such as ``max_clients = "9"``, or a validator that cannot be called.
            ValueError: For a path that does not begin with ``/``, has a query, or that no client can
                ask for, such as ``/a/../b``; or for an attribute out of range.
            RuntimeError: If the resource is running in another server already, or from another
                thread while serving. Nothing is registered then.
        """
        if isinstance(path, Resource | type):
            raise TypeError("the path comes first: register('/chat', Chat())")
        check_resource(resource)
        self._put(path, resource, origins, ignore_case)

    def register_factory(
        self,
        path: str,
        factory: Dispatcher,
        origins: OriginValidator = same_origin,
        *,
        max_resources: int = 1000,
        linger: float = 0.0,
        ignore_case: bool = False,
        scope: Scope = "one",
    ) -> None:
        """Register a function that makes a resource for each path asked for, such as one for each room.

        Args:
            path: As for :meth:`register`; usually with a ``{name}``.
            factory: Takes the request of a client for whose path there is no resource yet, and
                returns a resource, or None for 404. It may raise :class:`Reject`; any other
                exception refuses with 500. It runs between hooks: let it decide, not work.
            origins: The origins whose pages can connect; checked before the factory is called.
            max_resources: How many a server has at a time, with scope ``"path"`` each worker of it; a client that
                needs one more gets 503.
            linger: Seconds for which a resource stays after its last client has gone. It does not
                stay if it has had no client.
            ignore_case: As for :meth:`register`; then paths that differ in the case of letters outside of
                ``{name}`` segments share a resource.
            scope: As :attr:`Resource.scope`, which the resources that it makes have too: ``"path"`` spreads them
                over the workers.

        All clients with the same ``request.path`` share the resource; paths are compared byte for byte, but
        for the case of percent-encodings. It starts with its first client and ends with its last. A client
        that comes while it ends gets a new one, which starts after the old one has ended. Each server has
        its own.

        Raises:
            TypeError: For a factory that is not a plain function, a validator that cannot be called, or
                an option that is not a number.
            ValueError: For a path as in :meth:`register`, ``max_resources`` below 1, or a negative time.
        """
        self._put(path, Factory(factory, max_resources, linger, ignore_case, scope), origins, ignore_case)

    def register_dispatcher(self, dispatcher: Dispatcher, origins: OriginValidator = same_origin) -> None:
        """Register a function that chooses the resource where no registered path matches.

        Args:
            dispatcher: Takes each such request and returns its resource, or None to leave it to
                the next dispatcher. An exception in it refuses the client as one in a factory does.
            origins: The origins whose pages can open the resources it returns.

        The server asks dispatchers in the order registered, before ``"*"``. A resource that is not
        running is started; it ends with its last client unless a path is registered for it.

        Raises:
            TypeError: For a dispatcher that is not a plain function, or a validator that cannot be called.
        """
        check_dispatcher(dispatcher)
        check_origins(origins)
        self.watchers.check()
        self.table.dispatchers.append((dispatcher, origins))

    @overload
    def route(self, path: str, handler: HandlerT, origins: OriginValidator = ...) -> HandlerT: ...
    @overload
    def route(self, path: str, *, origins: OriginValidator = ...) -> Callable[[HandlerT], HandlerT]: ...
    def route(
        self, path: str, handler: HandlerT | None = None, origins: OriginValidator = same_origin
    ) -> HandlerT | Callable[[HandlerT], HandlerT]:
        """Register a handler for the requests to a path that do not ask for a WebSocket.

        Without a handler this returns a decorator, ``@registry.route("/hook")`` above an async function.

        Args:
            path: As for :meth:`register`, such as ``/`` or ``/hooks/{room}``. With ``/*`` at its end it stands for
                all paths below, so ``/static/*`` includes ``/static/`` and ``/static/app.js``; the longest one wins.
            handler: An async function that takes the :class:`Request` and returns a :class:`Response`, for any
                method. ``request.path_params`` has the segments that ``{name}`` matched, ``request.body`` the
                content. ``request.path`` is the part that ``/*`` stands for, from the slash on, or ``/``.
            origins: The origins whose pages can make requests other than GET, HEAD and OPTIONS; the server
                answers 403 to other pages. By default pages of the same host, and programs, which send no Origin.

        A resource can have the same path: it takes the WebSockets. A path registered before is replaced.
        Exact paths win over ``{name}``, those over ``/*``, those over ``"*"``, and any of them over
        ``http_handler``.

        Raises:
            TypeError: For a handler that is not an async function of one request, or a validator that cannot be
                called.
            ValueError: For a path as in :meth:`register`, and for the handler of a folder at a path without ``/*``.
            RuntimeError: From another thread than trio's while serving.
        """
        if not isinstance(path, str):
            raise TypeError("the path comes first: route('/', handler), or @registry.route('/')")
        if handler is None:
            return lambda function: self.route(path, function, origins)
        check_http_handler("a handler", handler, such=", such as static_file('chat.html')")
        check_origins(origins)
        if getattr(handler, "answers_below", False) and not path.endswith("*"):
            raise ValueError(f"a folder answers for all paths below it: {path.rstrip('/') + BELOW!r}, not {path!r}")
        self.watchers.check()
        former = self.http_routes.put(path, HttpRoute(handler, origins))
        if former is not None and former.handler is not handler:
            logger.log(
                self._level_again(), "the route %s is registered again: requests get %s", path, written_name(handler)
            )
        return handler

    def unregister_route(self, path: str) -> bool:
        """Forget a route; return whether it was registered."""
        self.watchers.check()
        return self.http_routes.take(path) is not None

    def unregister_dispatcher(self, dispatcher: Dispatcher) -> bool:
        """Forget a dispatcher; return whether it was registered. Connected clients stay."""
        self.watchers.check()
        kept = [entry for entry in self.table.dispatchers if entry[0] != dispatcher]
        found = len(kept) < len(self.table.dispatchers)
        self.table.dispatchers = kept
        return found

    def _put(self, path: str, resource: Resource | Factory, origins: OriginValidator, ignore_case: bool) -> None:
        check_origins(origins)
        self.watchers.check()
        before = self.snapshot()
        registration = Registration(resource, origins, check_path(path), resource.scope)
        former = self.table.put(path, registration, ignore_case=ignore_case)
        try:
            self.watchers.tell()
        except BaseException:
            # A registration that one server refuses would make every later change fail too.
            self.restore(before)
            raise
        if former is not None and former.resource is not resource:
            logger.log(self._level_again(), "%s is registered again: newcomers get %s", path, name_of(resource))

    def _level_again(self) -> int:
        # Before a server runs, a path that was replaced was probably written twice by mistake; and as long as
        # logging is not set up, Python shows only warnings.
        return logging.INFO if self.watchers else logging.WARNING

    def unregister(self, path: str, *, close_clients: bool = False) -> bool:
        """Forget a path; return whether it was registered.

        Connected clients stay, and the resource ends with the last of them.

        Args:
            path: As it was registered.
            close_clients: Closes the clients with 1001 instead, unless another path is
                registered for the resource. With a factory: the clients of all resources that it made.
        """
        self.watchers.check()
        found = self.table.take(path)
        self.closing = found.resource if found is not None and close_clients else None
        try:
            self.watchers.tell()
        finally:
            self.closing = None
        return found is not None

    def find(self, path: str) -> Resource | None:
        """Return the resource registered for ``path``; None if there is none.

        It does not call factories or dispatchers; :meth:`Server.find` knows the resources that a factory made.
        """
        found = self.table.lookup(path)
        return None if found is None or isinstance(found[0].resource, Factory) else found[0].resource

    def snapshot(self) -> Snapshot:
        """Return a copy of the registrations and routes, for :meth:`restore`."""
        return Snapshot(self.table.copy(), self.http_routes.copy())

    def restore(self, before: Snapshot) -> None:
        """Put back the registrations and routes of a :meth:`snapshot`, and drop all later ones, as between tests."""
        self.watchers.check_frozen()  # in any thread: a server of other tests can run at the same time
        self.table, self.http_routes = before.table.copy(), before.http_routes.copy()
        self.watchers.tell()

    def paths(self) -> list[str]:
        """Return the paths of resources, exact ones first."""
        return [path for path, _ in self.table.registrations()]


def name_of(resource: Resource | Factory) -> str:
    return (
        f"the resource of {written_name(resource.make)}" if isinstance(resource, Factory) else type(resource).__name__
    )


def check_origins(origins: object) -> None:
    if not callable(origins):
        given = "https://example.com"
        with suppress(ValueError):
            given = browser_origin(origins) if isinstance(origins, str) and "://" in origins else given
        raise TypeError(
            f"origins must be a validator such as origin_exact({given!r}) or any_origin, not {type(origins).__name__}"
        )
    if origins in (origin_exact, origin_prefix):
        name = getattr(origins, "__name__", "origin_exact")
        raise TypeError(f"origins must be a validator, which {name} makes: write {name}('https://example.com')")
    check_plain("a validator of origins", origins)
    check_takes("a validator of origins", origins, "request")


global_registry: Registry = Registry()
"""The registry of the whole process, asked after a server's own."""


def served_with(registry: Registry | None) -> list[Registry]:
    """Return the registries that a server with this one serves, in the order in which it asks them."""
    if registry is None:
        return [global_registry]
    return [registry] if registry.alone else [registry, global_registry]


def register_global_resource(
    path: str, resource: Resource, origins: OriginValidator = same_origin, *, ignore_case: bool = False
) -> None:
    """Register a resource in the global registry; see :meth:`Registry.register`."""
    global_registry.register(path, resource, origins, ignore_case=ignore_case)


def register_global_factory(
    path: str,
    factory: Dispatcher,
    origins: OriginValidator = same_origin,
    *,
    max_resources: int = 1000,
    linger: float = 0.0,
    ignore_case: bool = False,
    scope: Scope = "one",
) -> None:
    """Register a factory in the global registry; see :meth:`Registry.register_factory`."""
    global_registry.register_factory(
        path, factory, origins, max_resources=max_resources, linger=linger, ignore_case=ignore_case, scope=scope
    )


@overload
def register_global_route(path: str, handler: HandlerT, origins: OriginValidator = ...) -> HandlerT: ...
@overload
def register_global_route(path: str, *, origins: OriginValidator = ...) -> Callable[[HandlerT], HandlerT]: ...
def register_global_route(
    path: str, handler: HandlerT | None = None, origins: OriginValidator = same_origin
) -> HandlerT | Callable[[HandlerT], HandlerT]:
    """Register an HTTP handler in the global registry; see :meth:`Registry.route`."""
    if handler is None:
        return global_registry.route(path, origins=origins)
    return global_registry.route(path, handler, origins)


def unregister_global_route(path: str) -> bool:
    """Forget a global route; see :meth:`Registry.unregister_route`."""
    return global_registry.unregister_route(path)


def register_global_dispatcher(dispatcher: Dispatcher, origins: OriginValidator = same_origin) -> None:
    """Register a dispatcher in the global registry; see :meth:`Registry.register_dispatcher`."""
    global_registry.register_dispatcher(dispatcher, origins)


def unregister_global_dispatcher(dispatcher: Dispatcher) -> bool:
    """Forget a global dispatcher; return whether it was registered."""
    return global_registry.unregister_dispatcher(dispatcher)


def find_global_resource(path: str) -> Resource | None:
    """Return the globally registered resource for ``path``."""
    return global_registry.find(path)


def unregister_global_resource(path: str, *, close_clients: bool = False) -> bool:
    """Forget a global path; see :meth:`Registry.unregister`."""
    return global_registry.unregister(path, close_clients=close_clients)
