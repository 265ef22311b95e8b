"""A life whose partition is leased: it looks at the lease before each hook, and ends at once without it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from wsframe.hooks.caller import HookCaller
from wsframe.hooks.hand_over_steps import Passage
from wsframe.hooks.parting import LOST, close_lost
from wsframe.hooks.tasks import Tasks
from wsframe.resources.ownership import Ownership

__all__ = ["Tenancy"]


class Tenancy:
    """The right by which one life acts.

    Args:
        hooks: Calls its hooks.
        tasks: Its tasks.
        passage: Ends them.
    """

    __slots__ = ("_hooks", "_passage", "_scope", "_tasks", "over", "ownership")

    def __init__(self, hooks: HookCaller, tasks: Tasks, passage: Passage) -> None:
        self._hooks = hooks
        self._tasks = tasks
        self._passage = passage
        self._scope: trio.CancelScope | None = None
        self.ownership: Ownership = Ownership()
        """As the resource sees it."""
        self.over: bool = False
        """Whether the lease is lost: nothing but goodbye is left to do."""

    def depend(self, ownership: Ownership) -> None:
        """Act by a lease from now on, before the life begins."""
        self.ownership = ownership
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
        self._hooks.part = close_lost
        self._passage.stop_tasks()
        self._tasks.cancel()
        if self._scope is not None:
            self._scope.cancel()

    def _around(self, name: str, hook: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Return a hook that is called only with the lease; without it the task is cancelled."""
        if name == "disconnected":
            return hook

        async def looked(*args: Any, **named: object) -> Any:
            await self.look()
            return await hook(*args, **named)

        return looked
