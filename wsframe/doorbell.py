"""Parking tasks and waking them from sync code; the only use of trio in the lower rooms."""

from __future__ import annotations

from math import inf

import trio

__all__ = ["Doorbell", "Happening", "Signal"]

FROM_THREAD = (
    "wsframe is for trio's own thread; from another one call Resource.post_from_thread or trio.from_thread.run_sync"
)


OUTSIDE = (
    "wsframe runs on trio, and this is not a task of trio: start it with trio.run(main). Under asyncio serve in a "
    "thread with wsframe.serving(), or run trio as a guest of the loop with trio.lowlevel.start_guest_run; "
    "'Beside asyncio' in the documentation shows both"
)


class Doorbell:
    """Wakes the one task that waits at it; a ring while nobody waits is kept for the next wait."""

    __slots__ = ("_parked", "rung")

    def __init__(self) -> None:
        self._parked: trio.lowlevel.Task | None = None
        self.rung: bool = False
        """Whether a ring waits for the next wait."""

    def ring(self) -> None:
        """Wake the task, now or as soon as it comes to wait."""
        if self._parked is not None:
            trio.lowlevel.reschedule(self._parked)
            self._parked = None
        else:
            self.rung = True

    async def wait(self) -> None:
        """Wait for a ring; a checkpoint in any case."""
        if self.rung:
            await trio.lowlevel.checkpoint()
            self.rung = False  # only now: a wait that is cancelled leaves the ring to the next
            return
        self._parked = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        if self._parked is None:  # rung already, by the flush between the task's parking and trio's note of this method
            return trio.lowlevel.Abort.FAILED
        self._parked = None
        return trio.lowlevel.Abort.SUCCEEDED


class Happening:
    """The same as a trio.Event, whose memory it takes only while a task waits: most of those of a room have none."""

    __slots__ = ("_event", "happened")

    def __init__(self) -> None:
        self._event: trio.Event | None = None
        self.happened: bool = False
        """Whether it has."""

    def set(self) -> None:
        """Wake all tasks that wait, and have none wait from now on."""
        self.happened = True
        event, self._event = self._event, None
        if event is not None:
            event.set()

    async def wait(self) -> None:
        """Wait until it has happened; a checkpoint in any case."""
        if self.happened:
            await trio.lowlevel.checkpoint()
            return
        if self._event is None:
            self._event = trio.Event()
        await self._event.wait()


class Signal:
    """Something that happens once, for any number of tasks to wait for."""

    __slots__ = ("_bells", "_fired", "value")

    def __init__(self) -> None:
        self._bells: dict[Doorbell, None] = {}  # a trio.Event cannot be set by the flush of a task that waits for it
        self._fired = False
        self.value: object = None

    def fire(self, value: object = None) -> None:
        """Wake all tasks that wait."""
        self.value = value
        self._fired = True
        for bell in self._bells:
            bell.ring()

    async def wait(self, at_most: float = inf) -> object:
        """Wait until it has happened, but no more seconds than ``at_most``; return its value."""
        bell = Doorbell()
        if self._fired:
            bell.ring()
        self._bells[bell] = None
        try:
            with trio.move_on_after(at_most):
                await bell.wait()
        finally:
            del self._bells[bell]
        return self.value


def check_thread() -> None:
    """Raise RuntimeError in another thread than trio's, where work would stay half done."""
    if not trio.lowlevel.in_trio_run():
        raise RuntimeError(FROM_THREAD)


def check_trio() -> None:
    """Raise RuntimeError outside of trio, such as under asyncio, where the first wait would fail without a reason."""
    try:
        trio.lowlevel.current_task()
    except (RuntimeError, AttributeError):
        raise RuntimeError(OUTSIDE) from None
