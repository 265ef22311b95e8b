"""The guard of a leased life: it looks at the lease before each hook, and ends the life once that is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import trio

from wsframe.hooks.caller import HookCaller
from wsframe.hooks.forced_end import LOST, close_lost
from wsframe.hooks.hand_over_steps import HandOverSteps
from wsframe.hooks.tasks import Tasks
from wsframe.http.request import Request
from wsframe.http.responses import retry_later
from wsframe.resources.ownership import Ownership

__all__ = ["OwnershipGuard"]

AcceptClient: TypeAlias = Callable[[Request], Awaitable[Any]]


class OwnershipGuard:
    """Lets one life act only while this process owns its resource.

    Args:
        hooks: Calls its hooks.
        tasks: Its tasks.
        hand_over_steps: Ends them.
        running: The scope around ``running()``, with all tasks that it starts in nurseries of its own.
    """

    __slots__ = ("_hand_over_steps", "_hooks", "_running", "_scope", "_scopes", "_tasks", "inside", "over", "ownership")

    def __init__(
        self, hooks: HookCaller, tasks: Tasks, hand_over_steps: HandOverSteps, running: trio.CancelScope
    ) -> None:
        self._hooks = hooks
        self._tasks = tasks
        self._hand_over_steps = hand_over_steps
        self._running = running
        self.inside: trio.CancelScope = trio.CancelScope()
        """The scope of the wait inside ``running()``, which is left after the hooks of the clients, without a lease as
        well."""
        self._scope: trio.CancelScope | None = None
        self._scopes: set[trio.CancelScope] | None = None
        """The scopes around ``accept_client``; None without a lease."""
        self.ownership: Ownership = Ownership()
        """As the resource sees it."""
        self.over: bool = False
        """Whether the lease is lost: only ``disconnected`` and the exit of ``running()`` are left to do."""

    def depend(self, ownership: Ownership) -> None:
        """Act by a lease from now on, before the life begins."""
        self.ownership = ownership
        self._scopes = set()
        self._hooks.look_first(self._around)
        self._tasks.look = self.look

    def enter(self, scope: trio.CancelScope) -> None:
        """Take note of the scope of the listener tasks, which does not reach into ``running()`` once entered."""
        self._scope = scope
        if self.over:
            scope.cancel()

    async def look(self) -> None:
        """Look at the lease; without it the life ends, and the task that looks is cancelled here."""
        if self.ownership.lost:
            self.end()
            await trio.lowlevel.checkpoint()

    def end(self) -> None:
        """End the life at once, because the lease is lost: cancel hooks and tasks, close the clients 1012.

        It is called where no task runs, so that it comes before everything that has waited.
        """
        if self.over:
            return
        self.over = True
        self._hooks.refusal = LOST
        self._hooks.force_end = close_lost
        self._hand_over_steps.stop_tasks()
        self._tasks.cancel()
        self.inside.shield = True
        self._running.cancel()
        for scope in self._scopes or ():
            scope.cancel()
        if self._scope is not None:
            self._scope.cancel()

    def within(self, accept_client: AcceptClient) -> AcceptClient:
        """Return ``accept_client``, which the loss of the lease cancels; the newcomer is then refused 503."""
        scopes = self._scopes
        if scopes is None:
            return accept_client

        async def bounded(request: Request) -> Any:
            with trio.CancelScope() as scope:
                scopes.add(scope)
                try:
                    await self.look()
                    return await accept_client(request)
                finally:
                    scopes.discard(scope)
            raise retry_later("resource not running")

        return bounded

    def _around(self, name: str, hook: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Return a hook that is called only with the lease; without it the task is cancelled."""
        if name == "disconnected":
            return hook

        async def looked(*args: Any, **named: object) -> Any:
            await self.look()
            return await hook(*args, **named)

        return looked
