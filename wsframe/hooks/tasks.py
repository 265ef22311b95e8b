"""Tasks of a resource, tasks of its clients, which end with them, and bounds of hooks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container
from functools import partial
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import trio

from wsframe.connection.flusher import Flusher, flushing
from wsframe.doorbell import check_thread
from wsframe.exceptions import HookTimeout
from wsframe.log import Log, log_for
from wsframe.resources.check_hooks import check_async, close_unawaited
from wsframe.resources.client_tasks import ClientTasks
from wsframe.user_code.errors import contain, harmless, nested
from wsframe.user_code.protected_nursery import ProtectedNursery

if TYPE_CHECKING:
    from wsframe.resources.client import Client

__all__ = ["MAX_TASKS", "Bounds", "TaskFailed", "Tasks", "log_task"]

logger: Log = log_for(__name__)

TaskFunction: TypeAlias = Callable[..., Awaitable[object]]

# Tasks of one client at the same time: if a hook starts one per message, a peer must not start any number.
MAX_TASKS = 256

CUT_SHORT = frozenset({"client_connected", "received_text", "received_binary", "received_pong"})


class TaskFailed(NamedTuple):
    """Mailbox entry: a task of a client raised an exception."""

    error: BaseException
    over: Callable[[], None]
    """The caller of hooks calls this after ``hook_failed``; until then ``disconnected`` waits."""


def begin(client: Client[Any], scope: trio.CancelScope) -> ClientTasks:
    """Cancel a scope when its client ends, or now if it has ended already."""
    if client._tasks is None:
        client._tasks = ClientTasks()
    client._tasks.scopes.add(scope)
    if client.close_code is not None:
        scope.cancel()
    return client._tasks


class Tasks:
    """The tasks of one life of a resource: its own, and those of its clients.

    Args:
        name: The resource's, for errors.
        clients: The clients whose ``disconnected`` has not begun.
        flusher: The flusher of the server's reactor.
    """

    __slots__ = ("_clients", "_early", "_flusher", "_name", "_nursery", "look")

    def __init__(self, name: str, clients: Container[Client[Any]], flusher: Flusher) -> None:
        self._name = name
        self._clients = clients
        self._flusher = flusher
        self._nursery: ProtectedNursery | None = None
        self._early: list[Awaitable[object]] | None = []
        self.look: Callable[[], Awaitable[object]] | None = None
        """Looks at the lease of the life before a task begins; it can raise Cancelled."""

    def open(self, nursery: ProtectedNursery) -> None:
        """Start the tasks asked for so far, and start later ones immediately."""
        self._nursery = nursery
        for task in self._early or ():
            nursery.start_soon(self._run, task)
        self._early = None

    def close(self) -> None:
        """Start no more tasks."""
        for task in self._early or ():
            close_unawaited(task)
        self._nursery = self._early = None

    def cancel(self) -> None:
        """Cancel all tasks, and start no more."""
        if self._nursery is not None:
            self._nursery.cancel()
        self.close()

    def start_soon(self, fn: TaskFunction, args: tuple[object, ...]) -> None:
        """Start a task of the resource.

        Raises:
            RuntimeError: If the resource is stopping, or from another thread.
            TypeError: If it is not an async function, or does not take the arguments.
        """
        check_thread()
        if self._nursery is not None:
            self._nursery.start_soon(self._run, call_async(fn, args))
        elif self._early is not None:
            self._early.append(call_async(fn, args))  # from running(), before its yield
        else:
            raise RuntimeError(f"{self._name} is stopping: it starts no more tasks")

    def start_for(self, client: Client[Any], fn: TaskFunction, args: tuple[object, ...]) -> bool:
        """Start a task that ends with a client; return whether it was started."""
        check_thread()  # first: the scope of a task that never runs would hold up ``disconnected``
        if self._nursery is None or client not in self._clients or client.close_code is not None:
            return False
        if client._tasks is not None and len(client._tasks.scopes) >= MAX_TASKS:
            return False
        task = call_async(fn, args)
        scope = trio.CancelScope()
        over = partial(begin(client, scope).done, scope)
        bounded = self._run_for(client, scope, over, task)
        try:
            self._nursery.start_soon(self._run, bounded)
        except RuntimeError:  # the nursery was just closed, because a task of the resource has raised
            bounded.close()
            close_unawaited(task)
            over()
            return False
        return True

    async def _run(self, task: Awaitable[object]) -> None:
        async def steps() -> None:
            if self.look is not None:
                try:
                    await self.look()
                except BaseException:
                    close_unawaited(task)
                    raise
            try:
                await nested(lambda: task)
            except BaseException as error:
                if not contain(error):
                    return
                passed_on = harmless(error)
                if passed_on is error:
                    raise
                raise passed_on from error

        await flushing(steps(), self._flusher)

    async def _run_for(
        self,
        client: Client[Any],
        scope: trio.CancelScope,
        over: Callable[[], None],
        task: Awaitable[object],
    ) -> None:
        reported = False
        try:
            with scope:
                await nested(lambda: task)
        except BaseException as error:
            if contain(error):
                reported = client in self._clients
                if reported:
                    # Through the mailbox: hook_failed is one of the hooks that never overlap.
                    inbox = client._link.inbox
                    inbox.mailbox.put(inbox, TaskFailed(error, over))
                else:
                    log_task(client, error)
        finally:
            if not reported:
                over()


def call_async(fn: TaskFunction, args: tuple[object, ...]) -> Awaitable[object]:
    """Call an async function, which starts nothing yet: a wrong call then raises where it is written.

    Raises:
        TypeError: If it is not an async function, or does not take the arguments.
    """
    check_async("the argument of start_soon", fn, hint="; run blocking code with trio.to_thread.run_sync")
    task: object = fn(*args)
    if not isinstance(task, Awaitable):
        raise TypeError(f"start_soon takes an async function, but {fn!r} returned {task!r}")
    return task


def log_task(client: Client[Any], error: BaseException) -> None:
    """Log the error of a client's task; it is too late for ``hook_failed``."""
    logger.error("a task of %r failed after its end", client, exc_info=error)


class Bounds:
    """Cancels hooks of a resource: when their time is up, and when their client ends.

    Args:
        seconds: The most seconds that a hook takes; None for any time.
        until_end: Whether a client's end cancels its running hook.
    """

    def __init__(self, seconds: float | None, *, until_end: bool) -> None:
        self._seconds = inf if seconds is None else seconds
        self._until_end = until_end

    def around(self, name: str, hook: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Return a hook with its bounds. When its time is up it raises HookTimeout."""
        until_end = self._until_end and name in CUT_SHORT

        async def bounded(*args: Any, **named: object) -> None:
            where: TracebackType | None = None
            with trio.CancelScope(deadline=trio.current_time() + self._seconds) as scope:
                work = begin(args[0], scope) if until_end else None
                try:
                    await hook(*args, **named)
                except BaseException as error:
                    where = error.__traceback__  # the traceback of a timeout shows the line at which the hook waited
                    raise
                finally:
                    if work is not None:
                        work.done(scope)
            if scope.cancelled_caught and trio.current_time() >= scope.deadline:
                raise HookTimeout(f"{name} took longer than timeouts.hook, {self._seconds:g} s").with_traceback(where)

        return bounded
