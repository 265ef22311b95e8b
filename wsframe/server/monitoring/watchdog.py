"""A thread that reports the code that keeps the event loop from turning, while no client is served."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from threading import Event, Thread, get_ident
from time import perf_counter
from traceback import StackSummary
from types import FrameType, TracebackType
from typing import Self

import trio

from wsframe import log
from wsframe.connection.counters import DurationBuckets
from wsframe.log import Log, log_for, shortened
from wsframe.resources.resource import Resource

__all__ = ["Watchdog", "named"]

logger: Log = log_for(__name__)

# Seconds between two questions to the loop. Five questions a second cost a server 0.1 % of a processor.
LOOK = 0.2
# Seconds without an answer until the watchdog reports.
KEPT = 1.0
# A process that was stopped and goes on has its threads late too.
GRACE = 0.05

MOST_FRAMES = 30
LONGEST_LINE = 200

OWN_FILES = tuple(f"{os.path.dirname(os.path.realpath(file))}{os.sep}" for file in (log.__file__, trio.__file__ or ""))


class Watchdog:
    """Watches over the loop of the caller's thread, within a ``with``.

    Args:
        look: Looks for other trouble, with the token of the loop; called in the watchdog's thread five times a second.
    """

    def __init__(self, look: Callable[[trio.lowlevel.TrioToken], object] | None = None) -> None:
        self._look = look
        self._token = trio.lowlevel.current_trio_token()
        self._loop = get_ident()
        self._turned = Event()
        self.lags: DurationBuckets = DurationBuckets()
        """How long the loop took to answer, asked five times a second; nothing where it waited for sockets."""
        self._over = Event()
        self._thread = Thread(target=self._watch, name="wsframe watchdog", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop, with the thread."""
        self._over.set()
        self._turned.set()
        self._thread.join(0.5)  # no longer: it can be waiting for a handler of the log

    def _watch(self) -> None:
        while not self._over.wait(LOOK):
            if self._look is not None:
                self._look(self._token)
            frame = sys._current_frames().get(self._loop)
            if frame is not None and frame.f_code.co_name == "get_events":
                self.lags.add(0.0)
                continue  # it waits for sockets: there is no need to wake it
            self._turned.clear()
            if self._over.is_set():  # it may have been set before that, to end the wait below
                return
            try:
                self._token.run_sync_soon(self._answer, perf_counter())
            except trio.RunFinishedError:
                return
            if not self._turned.wait(KEPT) and not self._turned.wait(GRACE):
                self._tell()
                self._turned.wait()

    def _answer(self, asked: float) -> None:
        self.lags.add(perf_counter() - asked)
        self._turned.set()

    def _tell(self) -> None:
        frames = step_of(sys._current_frames().get(self._loop))
        name, inner = keeper(frames)
        if name:
            logger.warning(
                "%s has kept the server for more than a second; no other client is served in the meantime",
                name,
                kind=name,
                stack="It is here:\n" + describe_frames(inner),
            )


def step_of(frame: FrameType | None) -> list[FrameType]:
    """Return the frames of the task that runs, its own first; empty if no task runs."""
    frames: list[FrameType] = []
    while frame is not None:
        if frame.f_code.co_name == "unrolled_run" and frame.f_code.co_filename.startswith(OWN_FILES[1]):
            return frames[::-1]
        frames.append(frame)
        frame = frame.f_back
    return []


def keeper(frames: list[FrameType]) -> tuple[str, list[FrameType]]:
    """Name the resource's method that a task is in, or else the user's function; ``""`` while trio waits.

    Returns:
        The name, and the frames from there on.
    """
    for depth, frame in enumerate(frames):
        owner = type(frame.f_locals.get("self"))
        if issubclass(owner, Resource):
            return f"{frame.f_code.co_name} of {owner.__name__}", frames[depth:]
    for depth, frame in enumerate(frames):
        if not frame.f_code.co_filename.startswith(OWN_FILES):
            return frame.f_code.co_qualname, frames[depth:]
    own = [frame.f_code.co_qualname for frame in frames if frame.f_code.co_filename.startswith(OWN_FILES[0])]
    return (own[-1] if own else ""), frames


def describe_frames(frames: list[FrameType]) -> str:
    """Describe where a task is, as a traceback does."""
    stack = StackSummary.extract((frame, frame.f_lineno) for frame in frames[-MOST_FRAMES:])
    lines = "".join(stack.format()).rstrip("\n").split("\n")
    return "\n".join(shortened(line, LONGEST_LINE) for line in lines)


def named(frames: list[FrameType]) -> tuple[str, str]:
    """Name the method that a task is in, and describe where it is."""
    name, inner = keeper(frames)
    return name, describe_frames(inner)
