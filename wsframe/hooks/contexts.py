"""Contexts of hooks: what one client's hook sets in a ContextVar no other client's hook sees.

Hooks run in the listener's task, in a copy of the context of ``running()``. Most set no variable,
and share it. A client whose hook does keeps the copy, and the task takes a new one: only those who
use variables pay for them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from functools import partial
from types import CoroutineType, coroutine
from typing import TYPE_CHECKING, Any

import trio

from wsframe.user_code import contain

if TYPE_CHECKING:
    from wsframe.resources.client import Client

__all__ = ["own_context", "run_within", "take_context"]


@coroutine
def going_on(
    context: Context, steps: Coroutine[object, object, object], trap: object
) -> Generator[object, object, object]:
    """Run the rest of a coroutine that has begun to wait."""
    while True:
        step: Callable[[], object]
        try:
            value = yield trap
        except BaseException as error:  # handed on whole: the coroutine decides
            step = partial(steps.throw, error)
        else:
            step = partial(steps.send, value)
        try:
            trap = context.run(step)
        except StopIteration as done:
            return done.value


async def take_context(context: Context) -> Context:
    """Make a copy of a context the current one of the running task; return the copy."""
    task = trio.lowlevel.current_task()
    task.context = context.copy()
    await trio.lowlevel.cancel_shielded_checkpoint()  # it is entered with the task's next step
    return task.context


async def own_context(client: Client[Any], base: Context) -> Context:
    """Leave the current context to a client whose hook has set something in it; return the one that is current then."""
    current = trio.lowlevel.current_task().context
    try:
        if current == base:
            return current
    except BaseException as error:  # values are compared
        contain(error)
    if client._context is None:
        client._context = current
    return await take_context(base)


async def awaited(steps: Awaitable[object]) -> object:
    return await steps


async def run_within(context: Context, steps: Awaitable[object]) -> object:
    """Await something with a context as the current one."""
    running = steps if isinstance(steps, CoroutineType) else awaited(steps)
    try:
        trap = context.run(running.send, None)
    except StopIteration as done:
        return done.value
    return await going_on(context, running, trap)
