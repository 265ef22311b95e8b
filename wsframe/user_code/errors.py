"""Handling errors of user code: an error costs its client or request, or ends the program, or passes."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from math import inf
from traceback import format_exception_only
from types import SimpleNamespace
from typing import Any, TextIO, TypeVar

import trio

from wsframe import log
from wsframe.user_code.locked_scope import locked
from wsframe.user_code.program import is_a, leaves, members, program

__all__ = [
    "LEFT_OPEN",
    "Nesting",
    "being_cancelled",
    "call_plain",
    "contain",
    "failed",
    "harmless",
    "holds_cancelled",
    "nested",
    "only_leaf",
    "post_mortem",
]

ResultT = TypeVar("ResultT")

LEFT_OPEN = "user code left a nursery or cancel scope open; enter them with 'async with' and 'with'"


def harmless(error: BaseException) -> BaseException:
    """Return an error that can go through a nursery, which calls its ``repr`` and reads its attributes."""
    try:
        for one in (error, *leaves(error)):
            _ = repr(one), one.__class__, one.__traceback__, getattr(one, "exceptions", None)
    except BaseException as other:
        contain(other)
        replaced = RuntimeError(f"{type(error).__name__}, which cannot be read")
        replaced.__cause__ = error
        return replaced
    return error


def only_leaf(error: BaseException) -> BaseException:
    """Return the one error inside the groups that nurseries put it in."""
    while is_a(error, BaseExceptionGroup) and len(inside := members(error)) == 1:
        error = inside[0]
    return error


def contain(error: BaseException) -> bool:
    """Return whether an error costs only its client or request; if not, the program ends because of it, in order.

    Raises:
        BaseException: ``error``, with KeyboardInterrupt or the trio.Cancelled of this task in it, which must
            pass, or with SystemExit outside of a server.
    """
    leaving: SystemExit | None = None
    for one in leaves(error):
        if is_a(one, KeyboardInterrupt) or (is_a(one, trio.Cancelled) and being_cancelled()):
            raise error
        if is_a(one, SystemExit):
            leaving = one
    if leaving is None:
        return True
    around = program.get(None)
    if around is None:
        raise error
    around.leave(leaving)
    return False


def being_cancelled() -> bool:
    """Return whether the running task is cancelled: else a Cancelled is one that user code has kept, as caches do."""
    return not trio.lowlevel.in_trio_task() or trio.current_effective_deadline() == -inf


def failed(error: BaseException) -> bool:
    """Do the same as :func:`contain`, and enter the debugger if ``debug=True`` was given."""
    if not contain(error):
        return False
    around = program.get(None)
    if around is None or not around.debug or post_mortem(error):
        return True
    around.stop(error)
    return False


def post_mortem(error: BaseException) -> bool:
    """Enter the debugger where ``error`` was raised; return False without a terminal."""
    if not (at_terminal(sys.stdin) and at_terminal(sys.stdout)):
        return False
    import pdb

    print(*format_exception_only(error), sep="", end="", file=sys.stderr)
    pdb.post_mortem(error.__traceback__)
    return True


def at_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


class Nesting:
    """The scopes and nurseries that are open in the running task: user code must leave them as it finds them.

    A scope that it leaves open would stand between the task and the task's own scopes: when that scope is
    cancelled, the task ends as if it had been cancelled itself. The usual cause is an async generator that
    yields inside a nursery.

    It closes them in the same task. To end the task and start another would take as many of trio's private
    names, and more tasks: only ``_cancel_status`` shows a scope left open, and trio makes a task that ends with
    an open nursery fail, so each listener task, of which there can be one for each client, and each newcomer
    would need a second task around it that catches that, and hands over the mailbox, contexts and bounds.
    """

    __slots__ = ("_nurseries", "status", "task")

    def __init__(self) -> None:
        self.task: trio.lowlevel.Task = trio.lowlevel.current_task()
        self.status: Any = self.task._cancel_status
        """The state of the innermost scope; trio has no public access to it."""
        self._nurseries = len(self.task.child_nurseries)

    @classmethod
    def inside(cls, nursery: trio.Nursery) -> Nesting:
        """Return that of the block of a nursery, whatever has been left open in it."""
        nesting = cls()
        nesting.status = nursery._cancel_status
        nesting._nurseries = nesting.task.child_nurseries.index(nursery) + 1
        return nesting

    def check(self) -> None:
        """Raise RuntimeError if something was left open."""
        if self.task._cancel_status is not self.status:
            raise RuntimeError(LEFT_OPEN)

    def close_scopes(self) -> bool:
        """Close the scopes and nurseries that code which cannot wait left open; it can have cancelled them.

        Returns:
            Whether a scope was left open.
        """
        task = self.task
        left_open = task._cancel_status is not self.status
        for nursery in task.child_nurseries[self._nurseries :]:
            abandon(nursery)
        while task._cancel_status is not self.status and self._is_around(task._cancel_status):
            task._cancel_status._scope.__exit__(None, None, None)
        return left_open

    async def mend(self, error: BaseException) -> BaseException:
        """Close the scopes that were left open; return the error, or another one if a scope has swallowed it."""
        task, left, of_tasks = self.task, error, None
        while task._cancel_status is not self.status and self._is_around(task._cancel_status):
            scope = task._cancel_status._scope
            scope.cancel()
            if task.child_nurseries[self._nurseries :] and task.child_nurseries[-1].cancel_scope is scope:
                of_tasks = await closed(task.child_nurseries[-1]) or of_tasks
            cancelled = any(is_a(one, trio.Cancelled) for one in leaves(left))
            try:
                scope.__exit__(type(left) if cancelled else None, left if cancelled else None, None)
            except BaseException as rest:
                left = rest
            else:
                left = RuntimeError(LEFT_OPEN) if cancelled else left
        while len(task.child_nurseries) > self._nurseries:  # a scope outside of the nursery was left before it
            of_tasks = await closed(task.child_nurseries[-1]) or of_tasks
        if of_tasks is not None and left.__cause__ is None:
            left.__cause__ = of_tasks
        return left

    def _is_around(self, status: Any) -> bool:
        while status is not None and status is not self.status:
            status = status.parent
        return status is not None


async def closed(nursery: trio.Nursery) -> BaseException | None:
    """Wait for the tasks of a nursery that no code will leave; return the exception they raised."""
    left = await nursery._nested_child_finished(None)
    orphan(nursery)
    return left


def abandon(nursery: trio.Nursery) -> None:
    """Cancel the tasks of a nursery that no code will leave, where nothing can wait for them."""
    nursery.cancel_scope.cancel()
    nursery._nested_child_running = False
    nursery._check_nursery_closed()
    nursery._parent_task._child_nurseries.remove(nursery)
    orphan(nursery)


def orphan(nursery: trio.Nursery) -> None:
    """Give a nursery a list of its own: its generator can be closed later, anywhere, and then removes it from that."""
    nursery._parent_task = SimpleNamespace(_child_nurseries=[nursery])  # type: ignore[assignment]


def call_plain(fn: Callable[..., ResultT], *args: object) -> ResultT:
    """Call user code that cannot wait, and leave trio's stack as it was.

    Raises:
        BaseException: The exception of the code; RuntimeError if it left a scope open.
    """
    nesting = Nesting()
    try:
        result = fn(*args)
    finally:
        left_open = nesting.close_scopes()
    if left_open:
        raise RuntimeError(LEFT_OPEN)
    return result


async def nested(fn: Callable[..., Awaitable[ResultT]], *args: object) -> ResultT:
    """Await user code, and leave trio's stack as it was.

    Raises:
        BaseException: The exception of the code; RuntimeError if it left a scope or nursery open.
    """
    nesting = Nesting()
    try:
        result = await fn(*args)
        nesting.check()
    except BaseException as error:
        mended = await nesting.mend(error)
        if mended is error:
            raise
        raise mended from None
    return result


def holds_cancelled(error: BaseException) -> bool:
    """Return whether an error is a cancellation, or a group with one: it must reach the scope it is for."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(trio.Cancelled) is not None
    return isinstance(error, trio.Cancelled)


def call_handlers(emit: Callable[[], None]) -> None:
    """Call handlers of the log in any thread, and leave the stack of a task that logs as it was."""
    if trio.lowlevel.in_trio_task():
        unlock = locked()
        try:
            call_plain(emit)
        finally:
            unlock()
    else:
        emit()


log.calling = call_handlers
