"""Reports hooks that have run or waited for longer than ``timeouts.slow_hook``, while they do.

Hooks of a resource run one after the other, so a slow one makes all messages after it wait, and nothing else shows
that: the server goes on, and so do other resources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from time import perf_counter
from types import FrameType

import trio

from wsframe.hooks.listener import Listener
from wsframe.hooks.stopwatch import Turn
from wsframe.log import Log, log_for

__all__ = ["SlowHooks", "waiting_frames"]

logger: Log = log_for(__name__)

# Seconds between two looks. A look walks through all tasks that call hooks.
LOOK = 1.0

Naming = Callable[[list[FrameType]], tuple[str, str]]


class SlowHooks:
    """Looks for slow hooks of one server, for its watchdog.

    Args:
        listeners: Returns the lives of its resources.
        naming: Names the method that a task is in, and describes where it is.
    """

    def __init__(self, listeners: Callable[[], Iterable[Listener]], naming: Naming) -> None:
        self._listeners = listeners
        self._naming = naming
        self._next = 0.0

    def look(self, token: trio.lowlevel.TrioToken) -> None:
        """Look, in the thread of the watchdog; only the loop's own thread can see where a task waits."""
        now = perf_counter()
        if now < self._next:
            return
        self._next = now + LOOK
        with suppress(RuntimeError):  # the loop has ended, or a set has changed in the meantime
            for listener in self._listeners():
                seconds = listener.timeouts.slow_hook
                if seconds is None:
                    continue
                for turn in tuple(listener.turns):
                    since = turn.since
                    if since and since != turn.told and now - since > seconds:
                        turn.told = since
                        token.run_sync_soon(self._tell, turn, since, seconds)

    def _tell(self, turn: Turn, since: float, seconds: float) -> None:
        if turn.since != since:
            return
        name, place = self._naming(waiting_frames(turn.task.coro))
        if name:
            logger.warning(
                "%s has taken more than %g s and has not ended; the hooks after it wait",
                name,
                seconds,
                kind=name,
                stack=f"It waits here:\n{place}",
            )


def waiting_frames(waiting: object) -> list[FrameType]:
    """Return the frames of a coroutine that waits, its own first."""
    frames: list[FrameType] = []
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
        frame = frame or getattr(waiting, "ag_frame", None)
        if frame is None:
            break
        frames.append(frame)
        inner = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
        inner = inner or getattr(waiting, "ag_await", None)
        # The wrapper of a task that flushes drives its coroutine by hand.
        waiting = frame.f_locals.get("steps") if inner is None else inner
    return frames
