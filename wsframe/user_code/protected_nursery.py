"""Nurseries that user code cannot cancel, although it can reach those of the tasks that call it.

Hooks, validators, handlers of the log and methods such as ``__del__`` run in tasks of wsframe. There
``trio.lowlevel.current_task().parent_nursery`` is a nursery of wsframe, whose cancellation would end all tasks in
it: all clients of a resource, or the server. So the scope that such a nursery shows raises RuntimeError at the line
that would change it. The error costs the client or request for which the code runs, like any other.

User code can also start a task there. If that fails it ends alone, and is logged at once; it is cancelled when all
others have ended.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Never, final

import trio

from wsframe.log import Log, log_for
from wsframe.user_code.errors import Nesting, being_cancelled, contain
from wsframe.user_code.locked_scope import FORBIDDEN
from wsframe.user_code.program import is_a, leaves, program

__all__ = ["ProtectedNursery"]

logger: Log = log_for(__name__)

PAUSE = 0.01
"""Seconds before a task begins again, so that one which always fails leaves time to the others."""


@final
class ShownScope:
    """The scope of a nursery, for user code to read; trio itself cancels it after an error in one of our tasks."""

    __slots__ = ("_nursery",)

    def __init__(self, nursery: ProtectedNursery) -> None:
        object.__setattr__(self, "_nursery", nursery)

    def cancel(self, reason: str | None = None) -> None:
        """Refuse, but not to trio: before 0.31 a nursery calls this after an error.

        Raises:
            RuntimeError: Always, to user code.
        """
        if sys._getframe(1).f_code.co_name != "_add_exc":
            raise RuntimeError(FORBIDDEN)
        self._cancel()

    def _cancel(self, reason: object = None) -> None:
        """Cancel after an error in one of our tasks: trio 0.31 and later call this."""
        nursery = self._nursery
        errors = nursery.nursery._pending_excs
        if nursery.failed or not errors or any(is_a(one, KeyboardInterrupt) for one in leaves(errors[-1])):
            nursery.cancel()
        elif nursery.costs_nothing(errors[-1]):
            nursery.report(errors.pop())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._nursery.scope, name)

    def __setattr__(self, name: str, value: object) -> Never:
        raise RuntimeError(FORBIDDEN)


@final
class ProtectedNursery:
    """A nursery whose tasks run user code."""

    __slots__ = ("_leaving", "_manager", "_ours", "_shown", "failed", "nursery", "scope")

    nursery: trio.Nursery
    scope: trio.CancelScope
    """Its real scope, for its owner."""

    def __init__(self) -> None:
        self._manager = trio.open_nursery()
        self._shown = ShownScope(self)  # made before the nursery: the collector can call finalizers here
        self._leaving = False
        self._ours = 0
        self.failed: bool = False
        """Whether the block, or a task that wsframe started, has raised."""

    async def __aenter__(self) -> ProtectedNursery:
        self.nursery = await self._manager.__aenter__()
        self.scope = self.nursery.cancel_scope
        self.nursery.cancel_scope = self._shown  # type: ignore[assignment]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> bool | None:
        self._leaving = True
        self.failed = self.failed or error is not None
        self._end_others()
        nesting = Nesting.inside(self.nursery)
        if error is None:
            nesting.close_scopes()
        else:
            error = await nesting.mend(error)
        try:
            kind, trace = (None, None) if error is None else (type(error), error.__traceback__)
            return await self._manager.__aexit__(kind, error, trace)
        except BaseException as left:
            if self.failed or not contain(left):
                raise
            return None  # a Cancelled of a task that user code started

    def costs_nothing(self, error: BaseException) -> bool:
        """Return whether an error of a task that user code has started is over once it is reported."""
        around = self.nursery.parent_task.context.get(program)
        if any(is_a(one, SystemExit) for one in leaves(error)) and around is None:
            return False
        cancelled = self.nursery._cancel_status.effectively_cancelled
        return not cancelled or not all(is_a(one, trio.Cancelled) for one in leaves(error))

    def report(self, error: BaseException) -> None:
        """Log the error of a task that user code has started, or end the program if it is a SystemExit.

        That is done in the next turn: trio calls from where no task runs, and handlers of the log are user code.
        """
        context = self.nursery.parent_task.context.copy()
        trio.lowlevel.current_trio_token().run_sync_soon(context.run, report, error)

    def cancel(self) -> None:
        """Cancel the block and all tasks."""
        self.scope.cancel()

    def start_soon(
        self, fn: Callable[..., Awaitable[object]], *args: object, name: object = None, again: bool = False
    ) -> None:
        """Start a task.

        Args:
            fn: An async function.
            args: Its arguments.
            name: The task's name, for debuggers; that of the function by default.
            again: Whether the task begins again after an error, because the server needs it.
        """
        self.nursery.start_soon(partial(self._run, again=again), fn, args, name=name or fn)
        self._ours += 1

    async def start(self, fn: Callable[..., Awaitable[object]]) -> Any:
        """Start a task and wait until it reports that it has started; return the value it reports."""
        self._ours += 1
        return await self.nursery.start(self._run_reporting, fn, name=fn)

    async def _run_reporting(self, fn: Callable[..., Awaitable[object]], *, task_status: trio.TaskStatus[Any]) -> None:
        await self._run(partial(fn, task_status=task_status), ())

    async def _run(self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...], again: bool = False) -> None:
        nesting = Nesting()
        try:
            while True:
                try:
                    await fn(*args)
                    nesting.close_scopes()
                    break
                except BaseException as error:
                    mended = await nesting.mend(error)
                    if not again and mended is error:
                        raise
                    if not again:
                        raise mended from None
                    contain(mended)
                    logger.error("%s begins again after an internal error", name_of(fn), exc_info=mended)
                    await trio.sleep(PAUSE)
        except BaseException as error:
            cancelled = being_cancelled() and all(is_a(one, trio.Cancelled) for one in leaves(error))
            self.failed = self.failed or not cancelled
            raise
        finally:
            self._ours -= 1
            self._end_others()

    def _end_others(self) -> None:
        """End the tasks that user code has started here, once the block and all our tasks have ended."""
        if self._leaving and not self._ours and self.nursery.child_tasks:
            self.scope.cancel()


def report(error: BaseException) -> None:
    with suppress(BaseException):  # a KeyboardInterrupt of a handler of the log: no task would see it here
        if contain(error):
            logger.error("a task that user code started in a nursery of wsframe failed", exc_info=error)


def name_of(fn: object) -> str:
    return getattr(fn, "__qualname__", type(fn).__qualname__)
