"""Which resource of a server has which listener, and when one that failed may start anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import trio

from wsframe.answers import Reject
from wsframe.listener import Listener
from wsframe.protocol.pool import RETRY_AFTER
from wsframe.registry import Registration, Registry
from wsframe.resource import Resource

__all__ = ["Roster"]

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0


class Failure:
    """How long a resource that failed must wait, and until when."""

    def __init__(self, resource: Resource[Any]) -> None:
        self.resource = resource
        self.pause = 0.0
        self.retry_at = 0.0

    def again(self, lived: float) -> None:
        """Note another failure, after a life of so many seconds."""
        self.pause = FIRST_PAUSE if not self.pause or lived > LONGEST_PAUSE else min(2 * self.pause, LONGEST_PAUSE)
        self.retry_at = trio.current_time() + self.pause


class Roster:
    """The listeners of one server. Resources are told apart by identity; they need no hash.

    Args:
        registries: Asked in this order for a path.
        make_listener: Makes a listener for a resource.
        nursery: Where listeners live.
    """

    def __init__(
        self, registries: Iterable[Registry], make_listener: Callable[[Resource[Any]], Listener], nursery: trio.Nursery
    ) -> None:
        self._registries = tuple(registries)
        self._make_listener = make_listener
        self._nursery = nursery
        self._living: dict[int, Listener] = {}
        self._failures: dict[int, Failure] = {}
        self._retired = False

    def __len__(self) -> int:
        return len(self._living)

    def watch(self) -> None:
        """Follow the registries from now on."""
        self.update()  # first: if it raises, nobody would stop following
        for registry in self._registries:
            registry.watch(self.update)

    def update(self) -> None:
        """Start what is newly registered, retire what no longer is."""
        registered = {id(resource): resource for registry in self._registries for resource in registry.resources()}
        for key, listener in self._living.items():
            if key not in registered:
                listener.retire()
        for key in [key for key in self._failures if key not in registered]:
            del self._failures[key]
        for key, resource in registered.items():
            if key not in self._living and key not in self._failures and not self._retired:
                self._start(resource)

    def _start(self, resource: Resource[Any]) -> Listener:
        listener = self._living[id(resource)] = self._make_listener(resource)
        self._nursery.start_soon(self._live, listener, name=f"listener of {type(resource).__name__}")
        return listener

    async def _live(self, listener: Listener) -> None:
        key, born = id(listener.resource), trio.current_time()
        try:
            await listener.run()
        finally:
            del self._living[key]
            if listener.failure is not None:
                self._failures.setdefault(key, Failure(listener.resource)).again(trio.current_time() - born)
        if listener.failure is None:
            self.update()  # it may have been registered again while it ended

    async def all_ready(self) -> None:
        """Wait until every resource registered now is ready.

        Raises:
            Exception: What ``running()`` of one of them raised.
        """
        for listener in tuple(self._living.values()):
            await listener.ready.wait()
            if listener.failure is not None:
                raise listener.failure

    def find(self, path: str) -> tuple[Registration, dict[str, str]] | None:
        """Return the registration for a path and the parameters in it; the server's own win."""
        for registry in self._registries:
            found = registry.lookup(path)
            if found is not None:
                return found
        return None

    async def listener_of(self, resource: Resource[Any]) -> Listener:
        """Return the listener of a resource, ready for one more member, who has joined.

        Raises:
            Reject: 503 while the resource has failed and may not be tried again yet.
        """
        listener = self._living.get(id(resource))
        if listener is None:
            failure = self._failures.get(id(resource))
            if self._retired or (failure is not None and trio.current_time() < failure.retry_at):
                raise Reject(503, [RETRY_AFTER], "resource not running")
            listener = self._start(resource)
        listener.join()
        try:
            await listener.ready.wait()
            if not listener.usable:
                raise Reject(503, [RETRY_AFTER], "resource not running")
        except BaseException:
            listener.leave()
            raise
        return listener

    def any_pausing(self) -> bool:
        """Tell whether a resource has failed and may not be tried again yet."""
        now = trio.current_time()
        return any(key not in self._living and now < failure.retry_at for key, failure in self._failures.items())

    def retire_all(self) -> None:
        """End every listener after its last member, and start no more."""
        self._retired = True
        for registry in self._registries:
            registry.unwatch(self.update)
        for listener in self._living.values():
            listener.retire()

    def hurry(self) -> None:
        """Leave no more time for leaving any ``running()``."""
        for listener in self._living.values():
            listener.hurry()
