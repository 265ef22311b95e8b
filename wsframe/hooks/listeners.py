"""The listeners of a server's resources: starting them, finding them, and starting them again after a failure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from typing import Any

import trio

from wsframe.connection.counters import PathCounters
from wsframe.hooks.leased_partitions import LeasedPartitions
from wsframe.hooks.listener import Listener
from wsframe.hooks.path_counters import CountersByPath
from wsframe.http.paths import normalized_program_path, normalized_request_path
from wsframe.http.request import Request
from wsframe.http.responses import RETRY_AFTER, Reject, refusing
from wsframe.log import Log, log_for, quoted
from wsframe.resources.resource import Resource
from wsframe.resources.routing.factories import Factory, ask, written_name
from wsframe.resources.routing.registries import Registries
from wsframe.resources.routing.registry import Registry
from wsframe.resources.routing.routing_table import Registration
from wsframe.resources.routing.worker_of_path import UNREGISTERED, Absences, Residence, Whereabouts
from wsframe.resources.shared_broadcast import topic_of
from wsframe.user_code.errors import contain
from wsframe.user_code.protected_nursery import ProtectedNursery
from wsframe.workers.placement import Placement

__all__ = ["Roster"]

logger: Log = log_for(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0


class RestartPause:
    """The pause before a resource that failed is started again."""

    def __init__(self, resource: Resource[Any]) -> None:
        self.resource = resource
        self.pause: float = 0.0
        self.retry_at: float = 0.0

    def again(self, lived: float) -> None:
        """Lengthen the pause after another failure; ``lived`` is the length of the life in seconds."""
        self.pause = FIRST_PAUSE if not self.pause or lived > LONGEST_PAUSE else min(2 * self.pause, LONGEST_PAUSE)
        self.retry_at = trio.current_time() + self.pause


async def retire_when_empty(listener: Listener, linger: float) -> None:
    """Retire a listener once no seat of it has been taken for ``linger`` seconds."""
    await listener.seats.free_for(linger)
    listener.retire()


def check_scope(resource: Resource[Any], factory: Factory) -> None:
    """Check that a resource has the scope that its factory is registered with.

    Raises:
        Reject: 500 if not, with a line in the log, as for any result of a factory that cannot be served.
    """
    if resource.scope != factory.scope:
        logger.error(
            "the factory %s is registered with scope=%r and made a %s, whose scope is %r: give both the same",
            written_name(factory.make), factory.scope, type(resource).__name__, resource.scope,
        )  # fmt: skip
        raise Reject(500, body="internal error")


class Made:
    """The lives of the resources that factories made."""

    def __init__(self) -> None:
        self.makers: dict[int, tuple[Factory, str, Hashable]] = {}
        """The factory of each resource that one made, the path first asked for, and the place."""
        self._lives: dict[Factory, dict[Hashable, Listener]] = {}

    def of(self, factory: Factory) -> Collection[Listener]:
        """Return the lives of the resources that a factory made, one for each place."""
        return self._lives.get(factory, {}).values()

    def at(self, factory: Factory, place: Hashable) -> Listener | None:
        """Return the newest life of the resource that a factory made for a place."""
        return self._lives.get(factory, {}).get(place)

    def add(self, factory: Factory, path: str, place: Hashable, listener: Listener) -> None:
        """Note the resource that a factory made for a path, and for all paths of the same place."""
        self._lives.setdefault(factory, {})[place] = listener
        self.makers[id(listener.resource)] = factory, path, place

    def forget(self, listener: Listener) -> None:
        """Forget a life that has ended, if a factory made it; its place can have another life by now."""
        factory, _, place = self.makers.pop(id(listener.resource), (None, "", None))
        lives = {} if factory is None else self._lives.get(factory, {})
        if factory is not None and lives.get(place) is listener:
            del lives[place]
            if not lives:
                del self._lives[factory]


class Roster:
    """The listeners of one server.

    Args:
        registries: The registries, in the order in which they are asked for a path.
        make_listener: Makes a listener for a resource, which counts in the numbers of its path.
        nursery: The nursery of the listeners.
        placement: The partitions whose lives are in this process; all of them by default.
        leased: The lives that depend on leases; none by default.
    """

    def __init__(
        self,
        registries: Iterable[Registry],
        make_listener: Callable[[Resource[Any], PathCounters], Listener],
        nursery: ProtectedNursery,
        placement: Placement | None = None,
        leased: LeasedPartitions | None = None,
    ) -> None:
        self.registries: Registries = Registries(registries)
        self.placement: Placement = placement or Placement.alone()
        self._leased = leased or LeasedPartitions()
        self.whereabouts: Whereabouts = Whereabouts(self.registries, self.placement)
        self._absences = Absences(self.whereabouts)
        self._make_listener = make_listener
        self._nursery = nursery
        self._living: dict[int, Listener] = {}
        self._failures: dict[int, RestartPause] = {}
        self.made: Made = Made()
        self.counters: CountersByPath = CountersByPath()
        self._retired = False
        self.received_before: int = 0
        """Messages of clients in lives of resources that have ended."""

    def __len__(self) -> int:
        return len(self._living)

    def listeners(self) -> tuple[Listener, ...]:
        """Return the listeners of this moment."""
        return tuple(self._living.values())

    def watch(self) -> None:
        """Follow the registries from now on.

        Raises:
            ValueError: If the registered resources cannot be spread over workers.
        """
        if self.placement.divided:
            self.whereabouts.check()
        self.update()  # first: if it raises, the registries must not call it any more
        self.registries.watch(self.update, frozen=self.placement.divided)

    def update(self) -> None:
        """Start resources that are newly registered, and retire those that no longer are."""
        self.counters.learn(registry.table for registry in self.registries)
        self.whereabouts.learn()
        registered, factories = self.registries.resources(), self.registries.factories()
        for registry in self.registries:
            if registry.closing is not None:
                self._dismiss(registry.closing, registered)
        for key, listener in self._living.items():
            maker = self.made.makers.get(key)
            if key not in registered and not (maker is not None and maker[0].linger and maker[0] in factories):
                listener.retire()
        for key in [key for key in self._failures if key not in registered]:
            del self._failures[key]
        for key, resource in registered.items():
            residence = self.whereabouts.of_resource(resource)
            if not self.whereabouts.is_here(residence):
                self._absences.note(resource, residence)
            elif (
                not self._retired
                and key not in self._living
                and key not in self._failures
                and self.whereabouts.can_begin(residence)
            ):
                self._start(resource, residence)

    def _dismiss(self, target: Resource[Any] | Factory, registered: Collection[int]) -> None:
        """Close the clients of a target that was unregistered together with them."""
        if isinstance(target, Factory):
            for listener in self.made.of(target):
                listener.dismiss()
        elif id(target) in self._living and id(target) not in registered:
            self._living[id(target)].dismiss()

    def _start(self, resource: Resource[Any], residence: Residence, factory: Factory | None = None) -> Listener:
        """Start a life. Every life begins here, and only in its own worker.

        Raises:
            LivesElsewhere: If its partition is not one of this process.
            RuntimeError: If it could not be found where its scope says.
        """
        self.whereabouts.check_can_begin(residence, type(resource).__name__)
        if self.placement.divided and residence is UNREGISTERED and resource.scope != "one":
            raise RuntimeError(
                f"{type(resource).__name__} of scope {resource.scope!r} comes from a dispatcher, which only worker 0 "
                "asks: register a factory, or give it the scope 'one'"
            )
        if self.placement.shared_only and residence.scope != "shared":
            raise RuntimeError(
                f"{type(resource).__name__} of scope {residence.scope!r} would live on every server of the backplane: "
                "register it before the server starts, which then shares it, or give it the scope 'shared'"
            )
        self._absences.end(resource)
        counters = self.counters.of(factory or resource)
        listener = self._living[id(resource)] = self._make_listener(resource, counters)
        listener.partition = residence.partition
        self._leased.enter(listener)
        if residence.scope == "shared" and self.placement.spread:
            listener.topic = topic_of(residence.key)
        linger = 0.0 if factory is None else factory.linger
        listener.departures.siblings = self
        self._nursery.start_soon(self._live, listener, linger, name=f"listener of {type(resource).__name__}")
        return listener

    async def _live(self, listener: Listener, linger: float) -> None:
        key, born = id(listener.resource), trio.current_time()
        try:
            if linger:
                async with ProtectedNursery() as nursery:
                    nursery.start_soon(retire_when_empty, listener, linger)
                    await listener.run()
                    nursery.cancel()
            else:
                await listener.run()
        except BaseException as error:  # our own bug, which costs this resource its hooks, and no other
            if contain(error):
                logger.error("%r ended with an internal error", listener, exc_info=error)
            listener.failure = error
        finally:
            del self._living[key]
            self.made.forget(listener)
            self._leased.leave(listener)
            listener.ended.set()
            self.received_before += listener.received_before
            if listener.failure is not None and self.registries.has(listener.resource):
                self._failures.setdefault(key, RestartPause(listener.resource)).again(trio.current_time() - born)
        here = self.placement.can_begin(listener.partition) and not listener.hand_over_steps.leaves
        if listener.failure is None and not self._retired and here and self.registries.has(listener.resource):
            resource = listener.resource  # it was registered again while it ended
            try:
                self._start(resource, self.whereabouts.of_resource(resource))
            except BaseException as error:  # another server has it by now, or one of its attributes raises
                contain(error)
                logger.error("%s cannot be started again", type(resource).__name__, exc_info=error)

    async def all_ready(self) -> None:
        """Wait until every resource registered now is ready.

        Raises:
            Exception: The exception that ``running()`` of one of them raised.
        """
        for listener in tuple(self._living.values()):
            await listener.ready.wait()
            if listener.failure is not None:
                raise listener.failure

    def ready_for(self, request: Request) -> tuple[Registration, dict[str, str], Listener] | None:
        """Return the registration for a request, with the running listener of its resource.

        None if that needs user code, or a wait for the resource.
        """
        found = self.registries.answer_unasked(request)
        listener = None if found is None else self._living.get(id(found[0].resource))
        return None if found is None or listener is None or not listener.open else (*found, listener)

    def resource_at(self, path: str) -> Resource[Any] | None:
        """Return the resource that serves a path now. This asks no dispatcher, and no factory makes one.

        Raises:
            LivesElsewhere: If it is in another worker.
        """
        self._check_named(path)
        target, params = self.registries.lookup(path) or (None, {})
        if isinstance(target, Factory):
            listener = self.made.at(target, target.place(normalized_program_path(path), params))
        else:
            listener = self._living.get(id(target))
        return listener.resource if listener is not None and listener.usable else None

    def join(self, target: Resource[Any] | Factory | str, request: Request) -> Listener:
        """Return the listener of a resource, and take one seat of it; start it if it does not run.

        Args:
            target: The resource, the factory that makes it, or a path.
            request: The request of the client that joins.

        Raises:
            Reject: 404 if there is none, 503 while it ends, has failed or the server is stopping.
            LivesElsewhere: If it is in another worker.
        """
        if isinstance(target, str):
            self._check_named(target)
            target, request = self.registries.at(target, request)
        listener = self._made_at(target, request) if isinstance(target, Factory) else self._of(target)
        if not listener.usable:
            raise Reject(503, [RETRY_AFTER], "resource not running")
        listener.join()
        return listener

    def is_open(self, target: Resource[Any] | Factory, request: Request) -> bool:
        """Return whether a request can join a resource without a wait."""
        if isinstance(target, Factory):
            listener = self.made.at(target, target.place(normalized_request_path(request.path), request.path_params))
        else:
            listener = self._living.get(id(target))
        return listener is not None and listener.open

    async def join_when_ready(self, target: Resource[Any] | Factory, request: Request) -> Listener:
        """Join a resource and wait until it is ready. Where it is just ending, wait for its end first.

        Raises:
            Reject: As for :meth:`join`.
        """
        await self.whereabouts.until_begun(target, request)
        ending = self._living.get(id(target))
        if ending is not None and ending.over and ending.failure is None:
            await ending.ended.wait()
        listener = self.join(target, request)
        try:
            if not listener.ready.happened:  # else the wait would be a checkpoint
                await listener.ready.wait()
            if not listener.usable:
                raise Reject(503, [RETRY_AFTER], "resource not running")
        except BaseException:
            listener.leave()
            raise
        return listener

    def _check_named(self, path: str) -> None:
        residence = self.whereabouts.named(path) if self.placement.divided else None
        if residence is not None:
            self.whereabouts.check_here(residence)

    def any_pausing(self) -> bool:
        """Return whether a resource has failed and cannot be started again yet."""
        now = trio.current_time()
        return any(key not in self._living and now < failure.retry_at for key, failure in self._failures.items())

    def _of(self, resource: Resource[Any]) -> Listener:
        """Return the listener of a resource; start it if it does not run."""
        listener = self._living.get(id(resource))
        if listener is None:
            failure = self._failures.get(id(resource))
            if self._retired or (failure is not None and trio.current_time() < failure.retry_at):
                raise Reject(503, [RETRY_AFTER], "resource not running")
            listener = self._start(resource, self.whereabouts.of_resource(resource))
            if not self.registries.has(resource):
                listener.retire()
        return listener

    def _made_at(self, factory: Factory, request: Request) -> Listener:
        """Return the listener of the resource that a factory made for a path; if there is none, have one made."""
        place = factory.place(normalized_request_path(request.path), request.path_params)
        former = self.made.at(factory, place)
        if former is not None and former.usable:
            return former
        if self._retired or (former is None and len(self.made.of(factory)) >= factory.max_resources):
            raise Reject(503, [RETRY_AFTER], "too many resources")
        residence = self.whereabouts.of_made(factory, normalized_request_path(request.path), request.path_params)
        self.whereabouts.check_can_begin(residence)  # before the factory is asked
        resource = ask(factory.make, request)
        if resource is None:
            raise refusing(404, f"no resource at {quoted(request.path)}")
        check_scope(resource, factory)
        if id(resource) in self._living or self.registries.has(resource):
            return self._of(resource)
        listener = self._start(resource, residence, factory)
        listener.predecessor = former
        self.made.add(factory, request.path, place, listener)
        if not factory.linger:
            listener.retire()
        return listener

    def retire_all(self) -> None:
        """End every listener when its last seat is free, and start no listener any more."""
        self._retired = True
        self.registries.unwatch(self.update)
        self._absences.end_all()
        for listener in self._living.values():
            listener.retire()

    def hurry(self, *, starting_only: bool = False) -> None:
        """End the time that leaving any ``running()`` has, or cancel only each that has not been entered yet."""
        for listener in self._living.values():
            if not starting_only or not listener.ready.happened:
                listener.hurry()
