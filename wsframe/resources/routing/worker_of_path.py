"""Finds the worker in which the resource of a path lives, from the registered paths and the path asked for alone.

No code of the program runs here: no dispatcher, no factory, no attribute of a resource. So every worker finds the
same, also the one that only passes a newcomer on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

from wsframe.exceptions import LivesElsewhere
from wsframe.http.paths import REST, normalized_program_path, normalized_request_path
from wsframe.http.request import Request
from wsframe.resources.life import Life
from wsframe.resources.resource import Resource
from wsframe.resources.routing.factories import Factory
from wsframe.resources.routing.registries import Registries
from wsframe.resources.routing.routing_table import Registration
from wsframe.workers.partitions import Scope, partition_of
from wsframe.workers.placement import Placement

__all__ = ["UNREGISTERED", "Absences", "Residence", "Whereabouts"]


class Residence(NamedTuple):
    """Where an object lives."""

    key: str
    """The registered path; for one of the objects of a factory, with the path asked for. The same for all paths
    that share an object."""
    scope: Scope
    path: str
    """A path that leads there."""

    @property
    def partition(self) -> int:
        """Its partition."""
        return partition_of(self.key, self.scope)


UNREGISTERED: Final = Residence("", "one", "")
"""Of a resource that a dispatcher has chosen, or that only ``deliver_to`` or ``move_to`` lead to."""


class Whereabouts:
    """Where the resources of one service live.

    Args:
        registries: The registries, in the order in which they are asked.
        placement: The partitions of this process.
    """

    def __init__(self, registries: Registries, placement: Placement) -> None:
        self._registries = registries
        self._placement = placement
        self._registered: dict[int, Registration] = {}

    def learn(self) -> None:
        """Take note of the registrations of this moment."""
        self._registered = {}
        for registration in self._registrations():
            self._registered.setdefault(id(registration.resource), registration)

    def of_resource(self, resource: Resource[Any]) -> Residence:
        """Return where an object lives that no factory has made."""
        found = self._registered.get(id(resource))
        return UNREGISTERED if found is None else Residence(found.path, found.scope, found.path)

    def of_made(self, factory: Factory, path: str, params: Mapping[str, str]) -> Residence:
        """Return where the object lives that a factory makes for a path; arguments as for :meth:`Factory.place`."""
        place = factory.place(path, params)
        parts = place if isinstance(place, tuple) else (place,)
        registered = self._registered.get(id(factory))
        key = "\n".join(("" if registered is None else registered.path, *map(str, parts)))
        return Residence(key, factory.scope, path)

    def asked_for(self, path: str) -> Residence | None:
        """Return where the object lives that a request for a path asks for; None if there is none.

        Args:
            path: As the client wrote it.
        """
        return self._at(normalized_request_path(path), path)

    def named(self, path: str) -> Residence | None:
        """Return where the object of a path lives that a program has written; None if no table has it."""
        return self._at(normalized_program_path(path), path, dispatchers=False)

    def _at(self, path: str, as_sent: str, *, dispatchers: bool = True) -> Residence | None:
        for registry in self._registries:
            found = registry.table.match(path, as_sent)
            if found is None and dispatchers and registry.table.dispatchers:
                return UNREGISTERED
            found = found or registry.table.rest()
            if found is not None:
                registration, params = found
                if isinstance(registration.resource, Factory):
                    return self.of_made(registration.resource, path, params)
                return Residence(registration.path, registration.scope, path)
        return None

    def is_here(self, residence: Residence) -> bool:
        """Return whether the object lives in this process."""
        return self._placement.whole or self._placement.is_here(residence.partition)

    def check_here(self, residence: Residence) -> None:
        """Check that an object lives in this process.

        Raises:
            LivesElsewhere: If it lives in another one.
        """
        if not self.is_here(residence):
            raise self.elsewhere(residence)

    def can_begin(self, residence: Residence) -> bool:
        """Return whether a life of an object can begin in this process."""
        return self.is_here(residence) and not self._placement.has_left(residence.partition)

    def check_can_begin(self, residence: Residence, name: str = "") -> None:
        """Check that a life of an object can begin in this process.

        Args:
            residence: Where it lives.
            name: Its name in the error; the path by default.

        Raises:
            LivesElsewhere: If it lives in another one.
        """
        if not self.can_begin(residence):
            raise self.elsewhere(residence, name)

    def elsewhere(self, residence: Residence, name: str = "") -> LivesElsewhere:
        """Make the error for an object that lives in another worker."""
        slot, here = self._placement.slot_of(residence.partition), self._placement.slot
        subject = " at ".join(filter(None, (name, residence.path))) or "the resource that a dispatcher has chosen"
        reach = f": server.post({residence.path!r}, message) reaches it there" if residence.path else ""
        if self._placement.has_left(residence.partition):
            return LivesElsewhere(f"{subject} has left this process, which is being replaced{reach}")
        if slot == here:
            return LivesElsewhere(f"{subject} lives on one server at a time, and now not on this one{reach}")
        return LivesElsewhere(f"{subject} lives in worker {slot}, and this is worker {here}{reach}")

    async def until_begun(self, target: Resource[Any] | Factory, request: Request) -> None:
        """Wait while the previous generation of this worker has the partition of a resource."""
        if self._placement.whole:
            return
        if isinstance(target, Factory):
            residence = self.of_made(target, normalized_request_path(request.path), request.path_params)
        else:
            residence = self.of_resource(target)
        await self._placement.until_begun(residence.partition)

    def check(self) -> None:
        """Check that the registered resources can be spread over workers.

        Raises:
            ValueError: For an object of scope ``"path"`` that several paths lead to.
        """
        seen: dict[int, Registration] = {}
        for registration in self._registrations():
            path, target = registration.path, registration.resource
            if isinstance(target, Factory) or registration.scope != "path":
                continue
            name = type(target).__name__
            if path == REST or "{" in path:
                raise ValueError(
                    f"{path}: one {name} of scope 'path' answers many paths, and would be one in each worker: "
                    f"register_factory({path!r}, lambda request: {name}(), scope='path') makes one for each path, "
                    "scope = 'one' keeps it in worker 0"
                )
            former = seen.setdefault(id(target), registration)
            if former is not registration:
                raise ValueError(
                    f"{former.path} and {path} lead to one {name} of scope 'path', and can be in different workers: "
                    "register an object for each, or keep it in worker 0 with scope = 'one'"
                )

    def summary(self) -> str:
        """Say in one line which paths live in the first worker, and which could be spread."""
        one: list[str] = []
        spread: list[str] = []
        for registration in self._registrations():
            (one if registration.scope == "one" else spread).append(registration.path)
        could = [
            registration.path
            for registration in self._registrations()
            if registration.scope == "one" and isinstance(registration.resource, Factory)
        ]
        alone = f"in worker 0 live {listed(one)}" if one else "nothing is in worker 0 alone"
        rest = f"; in all workers live {listed(spread)}" if spread else ""
        hint = f"; scope='path' would spread {listed(could)}" if could else ""
        return alone + rest + hint

    def _registrations(self) -> Iterator[Registration]:
        for registry in self._registries:
            for _, registration in registry.table.registrations():
                yield registration


MOST_LISTED = 5


def listed(paths: list[str]) -> str:
    """Write some paths in a line, the first few by name."""
    more = len(paths) - MOST_LISTED
    return ", ".join(paths[:MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


class Elsewhere:
    """Stands for the life of a resource that lives in another worker: all its methods raise."""

    departures: Final = None

    def __init__(self, error: LivesElsewhere) -> None:
        self._error = str(error)

    def __getattr__(self, name: str) -> Any:
        """Raise, whatever was asked for."""
        raise LivesElsewhere(self._error)


class Absences:
    """The objects of this process whose lives are in other workers."""

    def __init__(self, whereabouts: Whereabouts) -> None:
        self._whereabouts = whereabouts
        self._absent: dict[int, tuple[Resource[Any], Elsewhere]] = {}

    def note(self, resource: Resource[Any], residence: Residence) -> None:
        """Have an object raise :exc:`LivesElsewhere` whenever it is used."""
        if id(resource) not in self._absent and resource._listener is None:
            mark = Elsewhere(self._whereabouts.elsewhere(residence, type(resource).__name__))
            self._absent[id(resource)] = resource, mark
            object.__setattr__(resource, "_listener", cast("Life[Any]", mark))

    def end(self, resource: Resource[Any]) -> None:
        """Let an object be used, because its life begins here, or the server has ended."""
        resource, mark = self._absent.pop(id(resource), (resource, None))
        if mark is not None and cast(object, resource._listener) is mark:
            object.__setattr__(resource, "_listener", None)

    def end_all(self) -> None:
        """Let all objects be used again."""
        for resource, _ in tuple(self._absent.values()):
            self.end(resource)
