"""A server that is cancelled at each of its steps, while its engine is being connected."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable

import trio

from tests.patience import PATIENCE

__all__ = ["CancelAt", "cancel_at_each_step"]


class CancelAt(trio.abc.Instrument):
    """Cancels a scope before a step of trio's tasks, counted from 1."""

    def __init__(self, step: int, scope: trio.CancelScope) -> None:
        self.count = 0
        self._step = step
        self._scope = scope

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1
        if self.count == self._step:
            self._scope.cancel()


def tasks() -> set[trio.lowlevel.Task]:
    """Return all tasks of trio."""
    root = trio.lowlevel.current_root_task()
    found, waiting = set(), [] if root is None else [root]
    while waiting:
        task = waiting.pop()
        found.add(task)
        waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


async def one_run(work: Callable[[], Awaitable[object]], step: int) -> int:
    """Cancel at a step; return how many steps there were, if it ended before that by itself; else 0."""
    before = tasks()
    with trio.fail_after(PATIENCE), trio.CancelScope() as scope:
        cancelling = CancelAt(step, scope)
        trio.lowlevel.add_instrument(cancelling)
        try:
            await work()
        finally:
            trio.lowlevel.remove_instrument(cancelling)
    left = [task.name for task in tasks() - before]
    assert not left, f"cancelled at step {step}, these tasks are left: {left}"
    return 0 if scope.cancelled_caught else cancelling.count


async def cancel_at_each_step(work: Callable[[], Awaitable[object]], first: int = 1, stride: int = 1) -> int:
    """Cancel a piece of work at each step, until it ends by itself; return how often."""
    await work()  # objects made once for each run of trio, such as the task by which glide reads, are not leftovers
    step = first
    while not await one_run(work, step):
        step += stride
    gc.collect()  # a socket that was left open warns
    return step // stride
