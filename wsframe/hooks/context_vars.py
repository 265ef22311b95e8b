"""Contexts of hooks: a ContextVar that a hook of one client sets is not set in hooks of other clients.

Hooks run in the listener's task, in a copy of the context of ``running()``. Most hooks set no variable,
and share that copy. A client whose hook sets one keeps the copy, and the task takes a new one: only
clients whose hooks use variables pay for them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from functools import partial
from types import CoroutineType, coroutine
from typing import TYPE_CHECKING, Any

import trio

from wsframe.user_code.errors import contain

if TYPE_CHECKING:
    from wsframe.resources.client import Client

__all__ = ["going_on", "own_context", "run_within", "take_context"]


@coroutine
def going_on(
    steps: Coroutine[object, object, object], trap: object, run: Callable[[Callable[[], object]], object]
) -> Generator[object, object, object]:
    """Run the rest of a coroutine that has begun to wait; ``run`` calls each of its steps."""
    while True:
        step: Callable[[], object]
        try:
            value = yield trap
        except BaseException as error:  # passed on unchanged: the coroutine decides
            step = partial(steps.throw, error)
        else:
            step = partial(steps.send, value)
        try:
            trap = run(step)
        except StopIteration as done:
            return done.value


async def take_context(context: Context) -> Context:
    """Copy a context, make the copy the current one of the running task, and return it."""
    task = trio.lowlevel.current_task()
    task.context = context.copy()
    await trio.lowlevel.cancel_shielded_checkpoint()  # the task enters it with its next step
    return task.context


async def own_context(client: Client[Any], base: Context) -> Context:
    """Give the current context to the client if its hook has set a variable; return the one current then."""
    current = trio.lowlevel.current_task().context
    try:
        if current == base:
            return current
    except BaseException as error:  # comparing calls __eq__ of the values
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
    return await going_on(running, trap, context.run)
