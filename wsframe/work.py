"""What runs for one client: its tasks, which end with it, and its hooks, which may have bounds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from wsframe.exceptions import HookTimeout

if TYPE_CHECKING:
    from wsframe.client import Client

__all__ = ["MAX_TASKS", "Bounds", "TaskFailed", "Work", "begin"]

# Tasks of one client at once. A hook that starts one for each message must not let a peer start any number.
MAX_TASKS = 256

CUT_SHORT = frozenset({"client_connected", "received_text", "received_binary", "received_pong"})


class Work:
    """The cancel scopes that end with one client."""

    __slots__ = ("after", "scopes")

    def __init__(self) -> None:
        self.scopes: set[trio.CancelScope] = set()
        self.after: Callable[[], object] | None = None
        """What is to be done once none is left."""

    def cancel(self) -> None:
        """Cancel all: the client has ended."""
        for scope in self.scopes:
            scope.cancel()

    def done(self, scope: trio.CancelScope) -> None:
        """Forget one that is over."""
        self.scopes.discard(scope)
        if not self.scopes and self.after is not None:
            after, self.after = self.after, None
            after()


class TaskFailed(NamedTuple):
    """What a mailbox holds of a client's task that raised; it is over when ``hook_failed`` has been asked."""

    error: Exception
    scope: trio.CancelScope


def begin(client: Client[Any], scope: trio.CancelScope) -> Work:
    """Have a scope cancelled when its client ends; now, if it has ended already."""
    if client._work is None:
        client._work = Work()
    client._work.scopes.add(scope)
    if client.close_code is not None:
        scope.cancel()
    return client._work


class Bounds:
    """What cuts the hooks of a resource short: their time, and the end of their client.

    Args:
        seconds: How long a hook may take; None for any time.
        until_end: Whether a client's end cancels its running hook.
    """

    def __init__(self, seconds: float | None, *, until_end: bool) -> None:
        self._seconds = inf if seconds is None else seconds
        self._until_end = until_end

    def around(self, name: str, hook: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Return a hook within its bounds. Where its time is up it raises HookTimeout."""
        until_end = self._until_end and name in CUT_SHORT

        async def bounded(*args: Any, **named: object) -> None:
            where: TracebackType | None = None
            with trio.CancelScope(deadline=trio.current_time() + self._seconds) as scope:
                work = begin(args[0], scope) if until_end else None
                try:
                    await hook(*args, **named)
                except BaseException as error:
                    where = error.__traceback__  # of a timeout it is told what the hook waited for
                    raise
                finally:
                    if work is not None:
                        work.done(scope)
            if scope.cancelled_caught and trio.current_time() >= scope.deadline:
                raise HookTimeout(f"{name} took longer than timeouts.hook, {self._seconds:g} s").with_traceback(where)

        return bounded
