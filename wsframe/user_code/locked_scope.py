"""Scopes that are locked for a moment, while user code runs in a task that has not started yet.

Until a task calls ``task_status.started()``, such as that of a server, its ``parent_nursery`` is one of trio's, which
no program has. Handlers of the log and finalizers that run in the task must not cancel it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Never, final

import trio

__all__ = ["FORBIDDEN", "locked", "unlocked"]

FORBIDDEN = "this cancel scope belongs to wsframe: cancel a scope or nursery of your own"


@final
class LockedScope:
    """The scope of a nursery, to be read."""

    __slots__ = ("_scope",)

    def __init__(self, scope: trio.CancelScope) -> None:
        object.__setattr__(self, "_scope", scope)

    def cancel(self, reason: str | None = None) -> Never:
        """Refuse.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(FORBIDDEN)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scope, name)

    def __setattr__(self, name: str, value: object) -> Never:
        raise RuntimeError(FORBIDDEN)


def locked() -> Callable[[], None]:
    """Lock the scope around a task that starts, and return the function that unlocks it; no task runs in between."""
    task = trio.lowlevel.current_task()
    nursery = task.parent_nursery
    if nursery is None or task.eventual_parent_nursery is None:
        return unlocked
    scope: object = nursery.cancel_scope
    if type(scope) is not trio.CancelScope:  # it is locked already
        return unlocked
    nursery.cancel_scope = LockedScope(scope)  # type: ignore[assignment]

    def unlock() -> None:
        nursery.cancel_scope = scope

    return unlock


def unlocked() -> None:
    """Do nothing, where none was locked."""
