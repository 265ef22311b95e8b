"""Which resource answers which path, for one server or for all in the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from wsframe.factories import Dispatcher, Factory, ask, check_dispatcher
from wsframe.origins import OriginValidator, same_origin
from wsframe.request import Request
from wsframe.resource import Resource
from wsframe.settings import check_settings

__all__ = [
    "Registration",
    "Registry",
    "find_global_resource",
    "global_registry",
    "register_global_dispatcher",
    "register_global_factory",
    "register_global_resource",
    "served_with",
    "unregister_global_dispatcher",
    "unregister_global_resource",
]

REST = "*"


class Registration(NamedTuple):
    """A resource, or what makes some, with the validator of the origins that may open it."""

    resource: Resource | Factory
    origins: OriginValidator


class Snapshot(NamedTuple):
    """What a registry held."""

    exact: dict[str, Registration]
    patterns: dict[tuple[str, ...], Registration]
    dispatchers: list[tuple[Dispatcher, OriginValidator]]


class Registry:
    """The resources of one server, by path.

    A path is exact and case-sensitive, or has ``{name}`` segments that match any one
    segment each; exact paths win. Dispatchers are asked for what no path matches, and
    ``"*"`` stands for whatever is left. Registering and unregistering work while serving.

    Args:
        alone: Whether a server with this registry leaves the global one out. The resources of
            the global registry run in one server at a time: of several in a process all but
            one need registries that are alone.

    Source: clws ``*resources*``.
    """

    def __init__(self, *, alone: bool = False) -> None:
        self.alone = alone
        self._exact: dict[str, Registration] = {}
        self._patterns: dict[tuple[str, ...], Registration] = {}
        self._dispatchers: list[tuple[Dispatcher, OriginValidator]] = []
        self._watchers: list[Callable[[], None]] = []
        self.closing: Resource | Factory | None = None
        """What was unregistered with its clients; only while watchers are told of it."""

    def __len__(self) -> int:
        return len(self._exact) + len(self._patterns) + len(self._dispatchers)

    def __repr__(self) -> str:
        names = [*self.paths(), *(["dispatchers"] if self._dispatchers else [])]
        return f"<Registry {', '.join(names) or 'empty'}>"

    def register(self, path: str, resource: Resource, origins: OriginValidator = same_origin) -> None:
        """Register a resource under a path.

        A path registered before is replaced: clients already connected keep the old
        resource, which ends with its last client. One resource may have many paths.
        The path ``"*"`` answers whatever nothing else does.

        Raises:
            TypeError: For a class instead of an object of it, an attribute of it that is not what
                it should be, such as ``max_clients = "9"``, or a validator that cannot be called.
            ValueError: For a path that does not begin with ``/``, or has a query, or for an
                attribute out of range.
            RuntimeError: If the resource is running in another server already. Nothing is
                registered then.
        """
        if isinstance(resource, type):
            raise TypeError(f"register an object, not the class: {resource.__name__}()")
        if not isinstance(resource, Resource):
            raise TypeError(f"a resource is an object of a Resource subclass, not {type(resource).__name__}")
        check_settings(resource)
        self._put(path, resource, origins)

    def register_factory(
        self,
        path: str,
        factory: Dispatcher,
        origins: OriginValidator = same_origin,
        *,
        max_resources: int = 1000,
        linger: float = 0.0,
    ) -> None:
        """Register a function that makes a resource for each path asked for, such as one for each room.

        Args:
            path: As for :meth:`register`; usually with a ``{name}``.
            factory: Takes the request of the newcomer who finds no resource at its path and
                returns a resource, or None for 404. It may raise :class:`Reject`; any other
                exception refuses with 500. It runs between hooks: let it decide, not work.
            origins: Whose pages may come; asked before the factory is.
            max_resources: How many a server has at a time; a newcomer who needs one more is answered 503.
            linger: Seconds for which a resource stays after its last client has gone; one that
                let nobody in does not stay.

        The resource serves whoever asks for the same ``request.path``, octet for octet,
        starts with its first client and ends with its last. A newcomer who comes while it
        ends gets a new one, which starts when the old one has ended. Each server has its own.

        Raises:
            TypeError: For a factory that is no plain function, or a validator that cannot be called.
            ValueError: For a path as in :meth:`register`, no resources at all, or a negative time.
        """
        self._put(path, Factory(factory, max_resources, linger), origins)

    def register_dispatcher(self, dispatcher: Dispatcher, origins: OriginValidator = same_origin) -> None:
        """Register a function that chooses the resource where no registered path matches.

        Args:
            dispatcher: Takes the request of each such newcomer and returns its resource, or
                None to leave it to the next dispatcher. Errors are those of a factory.
            origins: Whose pages may open the resources it returns.

        Dispatchers are asked in the order registered, before ``"*"``. A resource that is not
        running is started; it ends with its last client unless a path is registered for it.

        Raises:
            TypeError: For a dispatcher that is no plain function, or a validator that cannot be called.

        Source: Hunchensocket ``*websocket-dispatch-table*``.
        """
        check_dispatcher(dispatcher)
        check_origins(origins)
        self._dispatchers.append((dispatcher, origins))

    def unregister_dispatcher(self, dispatcher: Dispatcher) -> bool:
        """Forget a dispatcher; return whether it was registered. Connected clients stay."""
        kept = [entry for entry in self._dispatchers if entry[0] != dispatcher]
        found = len(kept) < len(self._dispatchers)
        self._dispatchers = kept
        return found

    def _put(self, path: str, resource: Resource | Factory, origins: OriginValidator) -> None:
        check_origins(origins)
        if not isinstance(path, str):
            raise TypeError(f"a path is a str, not {type(path).__name__}")
        if path != REST and (not path.startswith("/") or "?" in path or "#" in path):
            raise ValueError(f"a path begins with '/' and has no '?' or '#': {path!r}")
        registration = Registration(resource, origins)
        before = self.snapshot()
        if "{" in path:
            self._patterns[pattern_of(path)] = registration
        else:
            self._exact[path] = registration
        try:
            self._tell()
        except BaseException:
            # A registration that one server refuses would make every later change fail too.
            self.restore(before)
            raise

    def unregister(self, path: str, *, close_clients: bool = False) -> bool:
        """Forget a path; return whether it was registered.

        Connected clients stay, and the resource ends with the last of them.

        Args:
            path: As it was registered.
            close_clients: Closes the clients with 1001 instead, unless another path is
                registered for the resource. With a factory: those of all that it made.
        """
        found = self._patterns.pop(pattern_of(path), None) if "{" in path else self._exact.pop(path, None)
        self.closing = found.resource if found is not None and close_clients else None
        try:
            self._tell()
        finally:
            self.closing = None
        return found is not None

    def find(self, path: str) -> Resource | None:
        """Return the resource registered for ``path``; None if there is none.

        Factories and dispatchers are not asked; what a factory made is known to :meth:`Server.find`.
        """
        found = self.lookup(path)
        return None if found is None or isinstance(found[0].resource, Factory) else found[0].resource

    def answer(self, request: Request) -> tuple[Registration, dict[str, str]] | None:
        """Return the registration for a request and what the ``{name}`` segments of its path matched.

        Raises:
            Reject: What a dispatcher raised, or 500.
        """
        found = self._match(request.path)
        if found is not None:
            return found
        for dispatcher, origins in tuple(self._dispatchers):
            resource = ask(dispatcher, request)
            if resource is not None:
                return Registration(resource, origins), {}
        return self.lookup(REST)

    def lookup(self, path: str) -> tuple[Registration, dict[str, str]] | None:
        """Return the registration for ``path`` and what its ``{name}`` segments matched."""
        return self._match(path) or self._match(REST)

    def _match(self, path: str) -> tuple[Registration, dict[str, str]] | None:
        exact = self._exact.get(path)
        if exact is not None:
            return exact, {}
        segments = path.split("/") if self._patterns else []
        for pattern, registration in self._patterns.items():
            params = matched(pattern, segments)
            if params is not None:
                return registration, params
        return None

    def snapshot(self) -> Snapshot:
        """Return what is registered now, for :meth:`restore`."""
        return Snapshot(self._exact.copy(), self._patterns.copy(), self._dispatchers.copy())

    def restore(self, before: Snapshot) -> None:
        """Have registered what was when ``before`` was taken, and nothing else, as between tests."""
        self._exact, self._patterns = before.exact.copy(), before.patterns.copy()
        self._dispatchers = before.dispatchers.copy()
        self._tell()

    def paths(self) -> list[str]:
        """Return the registered paths, exact ones first."""
        return [*self._exact, *("/".join(pattern) for pattern in self._patterns)]

    def registrations(self) -> Iterator[tuple[str, Registration]]:
        """Yield each path with what is registered there, exact paths first."""
        yield from zip(self.paths(), (*self._exact.values(), *self._patterns.values()), strict=True)

    def resources(self) -> Iterator[Resource]:
        """Yield the resource of each path; one with several paths comes up several times."""
        for _, resource in self.resources_by_path():
            yield resource

    def resources_by_path(self) -> Iterator[tuple[str, Resource]]:
        """Yield each path that a resource is registered under, with the resource."""
        for path, registration in self.registrations():
            if not isinstance(registration.resource, Factory):
                yield path, registration.resource

    def factories(self) -> Iterator[Factory]:
        """Yield the factory of each path that has one."""
        for registration in (*self._exact.values(), *self._patterns.values()):
            if isinstance(registration.resource, Factory):
                yield registration.resource

    def dispatchers(self) -> Iterator[tuple[Dispatcher, OriginValidator]]:
        """Yield the dispatchers in the order asked, each with its origins."""
        yield from self._dispatchers

    def watch(self, tell: Callable[[], None]) -> None:
        """Have ``tell`` called after each change."""
        self._watchers.append(tell)

    def unwatch(self, tell: Callable[[], None]) -> None:
        """Stop calling ``tell``."""
        self._watchers.remove(tell)

    def _tell(self) -> None:
        for tell in tuple(self._watchers):
            tell()


def check_origins(origins: object) -> None:
    if not callable(origins):
        raise TypeError(f"origins must be a validator such as origin_exact(...), not {type(origins).__name__}")


def pattern_of(path: str) -> tuple[str, ...]:
    segments = tuple(path.split("/"))
    names = [segment[1:-1] for segment in segments if segment.startswith("{") and segment.endswith("}")]
    if sum(segment.count("{") + segment.count("}") for segment in segments) != 2 * len(names):
        raise ValueError(f"a parameter is a whole segment, such as /rooms/{{room}}: {path!r}")
    if not all(name.isidentifier() for name in names) or len(set(names)) < len(names):
        raise ValueError(f"the names of parameters are different identifiers: {path!r}")
    return segments


def matched(pattern: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    params: dict[str, str] = {}
    for wanted, segment in zip(pattern, segments, strict=True):
        if wanted.startswith("{") and segment:
            params[wanted[1:-1]] = segment
        elif wanted != segment:
            return None
    return params


global_registry = Registry()
"""The registry of the whole process, asked after a server's own."""


def served_with(registry: Registry | None) -> list[Registry]:
    """Return what a server of a registry serves, in the order in which it is asked."""
    if registry is None:
        return [global_registry]
    return [registry] if registry.alone else [registry, global_registry]


def register_global_resource(path: str, resource: Resource, origins: OriginValidator = same_origin) -> None:
    """Register a resource in the global registry; see :meth:`Registry.register`.

    Source: clws ``register-global-resource``.
    """
    global_registry.register(path, resource, origins)


def register_global_factory(
    path: str,
    factory: Dispatcher,
    origins: OriginValidator = same_origin,
    *,
    max_resources: int = 1000,
    linger: float = 0.0,
) -> None:
    """Register a factory in the global registry; see :meth:`Registry.register_factory`."""
    global_registry.register_factory(path, factory, origins, max_resources=max_resources, linger=linger)


def register_global_dispatcher(dispatcher: Dispatcher, origins: OriginValidator = same_origin) -> None:
    """Register a dispatcher in the global registry; see :meth:`Registry.register_dispatcher`."""
    global_registry.register_dispatcher(dispatcher, origins)


def unregister_global_dispatcher(dispatcher: Dispatcher) -> bool:
    """Forget a global dispatcher; return whether it was registered."""
    return global_registry.unregister_dispatcher(dispatcher)


def find_global_resource(path: str) -> Resource | None:
    """Return the globally registered resource for ``path``. Source: clws ``find-global-resource``."""
    return global_registry.find(path)


def unregister_global_resource(path: str, *, close_clients: bool = False) -> bool:
    """Forget a global path; see :meth:`Registry.unregister`. Source: clws ``unregister-global-resource``."""
    return global_registry.unregister(path, close_clients=close_clients)
