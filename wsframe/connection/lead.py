"""Lends the reading of all sockets to a listener that has nothing else to do: the leader/followers pattern.

How it works. A message passes through two tasks: the reactor reads it, the listener calls its hook. For a busy server
that is two passes of trio's scheduler for many messages; for one message at a time it is a good part of its cost. So
a listener whose mailbox was the only one that the reactor rang in a turn gets the *lead*: from then on it waits at the
poller in place of its doorbell, and reads for all in place of the reactor, whose task waits until the lead comes back.
The next message is read and answered in one pass.

The rules:

1. At any time one task reads: the leader if there is one, else the reactor.
2. A leader that waits for anything but the poller gives the lead back first, so that a hook that waits holds up
   nobody's reading. ``drive``, which sees each wait, calls ``give_back`` (``Flusher.leader``).
3. A leader also gives the lead back when it has read for others alone. A listener that gave it back is passed over for
   64 turns: one that waits again and again would only pass the lead to and fro.
4. The doorbell of a leader at the poller wakes it through :meth:`Poller.wake`, so it misses nothing.
5. The context of its task stays its own: the reader runs user code (``check_message``) in the reactor's context.

A leader whose last waits were short *spins*: it looks at the poller again, for at most 60 us, before it waits. That
spares the kernel and trio most of their work if a client answers at once. It stops after three looks in vain, and
waits, which gives other tasks a turn, at least each millisecond. ``spinning`` decides whether leaders spin at all.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import TYPE_CHECKING

import trio

from wsframe.doorbell import Doorbell

if TYPE_CHECKING:
    from wsframe.connection.flusher import Flusher
    from wsframe.net.poller import Poller

__all__ = ["Lead", "ListenerBell"]

SPIN_SECONDS = 60e-6
"""How long a leader looks for the next message before it waits."""
SPINS_IN_VAIN = 3
TURN_SECONDS = 0.001
"""How long a leader that spins keeps other tasks waiting, beside a batch of hooks."""
PASSED_OVER = 64
"""Turns in which a listener that gave the lead back does not get it."""


class ListenerBell(Doorbell):
    """The doorbell of a listener task: it notes when it was rung, and wakes the task wherever that waits."""

    __slots__ = ("lead", "rung_at")

    rung: bool

    def __init__(self) -> None:
        super().__init__()
        self.rung_at: float = perf_counter()
        self.lead: Lead | None = None
        """The lead of the reactor, while the task can have it."""

    def ring(self) -> None:
        """Wake the task, and note the time."""
        self.rung_at = perf_counter()
        lead = self.lead
        if self._parked is not None:  # as in Doorbell: a call of that would cost as much again
            trio.lowlevel.reschedule(self._parked)
            self._parked = None
            if lead is not None:
                lead.rung = self
                lead.times_rung += 1
        else:
            self.rung = True
            if lead is not None and lead.at_poller is self:
                lead.poller.wake()

    def wait(self) -> Coroutine[object, object, None]:
        """Wait for a ring, or read until there is one: that is the task's part if it has the lead."""
        lead = self.lead
        return lead.turn(self) if lead is not None and lead.bell is self else self._wait(lead)

    async def _wait(self, lead: Lead | None) -> None:
        if self.rung:
            await trio.lowlevel.checkpoint()
            self.rung = False  # as in Doorbell: a wait of that would be one coroutine more
        else:
            self._parked = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        if lead is not None and lead.bell is self:
            lead.take()

    def park(self, task: trio.lowlevel.Task) -> None:
        """Have the next ring wake a task that waits elsewhere; it calls :meth:`woken` then."""
        self._parked = task

    def unpark(self, task: trio.lowlevel.Task) -> bool:
        """Wake a task no more that was parked; return False if it has been woken."""
        if self._parked is not task:
            return False
        self._parked = None
        return True

    def woken(self) -> None:
        """Take the lead if it was given to the task."""
        if self.lead is not None and self.lead.bell is self:
            self.lead.take()

    def quit(self) -> None:
        """Have the task lead no more."""
        lead, self.lead = self.lead, None
        if lead is not None:
            lead.leave(self)


class Lead:
    """The right to read all sockets of a reactor.

    Args:
        flusher: The reactor's.
        read: Reads the ready sockets: the list that the poller gave, or None to ask it.
    """

    __slots__ = (
        "_flusher", "_passed_over", "_read", "_returned", "_spins", "_spins_until", "at_poller", "bell", "poller",
        "rung", "spins", "times_rung",
    )  # fmt: skip

    def __init__(self, flusher: Flusher, read: Callable[[list[tuple[int, int]] | None], None]) -> None:
        self._flusher = flusher
        self._read = read
        self.poller: Poller
        """The reactor's; it has one while it runs."""
        self.spins: bool = False
        """Whether a leader looks again before it waits."""
        self.bell: ListenerBell | None = None
        """The doorbell of the leader."""
        self.at_poller: ListenerBell | None = None
        """The same, while the leader waits at the poller."""
        self.rung: ListenerBell | None = None
        """The doorbell of the listener that was woken last."""
        self.times_rung: int = 0
        """How many were woken in this turn."""
        self._passed_over: dict[ListenerBell, int] = {}
        self._returned = Doorbell()
        self._spins = 0
        """How many more times the leader can look in vain."""
        self._spins_until = 0.0
        """When other tasks must have a turn."""

    def offer(self) -> bool:
        """Give the lead to the only listener woken in a turn of the reactor; return whether there is one."""
        bell, times = self.rung, self.times_rung
        self.rung, self.times_rung = None, 0
        if times != 1 or bell is None:
            return False
        turns = self._passed_over.pop(bell, 0)
        if turns:
            self._passed_over[bell] = turns - 1
            return False
        self.bell = bell
        return True

    async def until_returned(self) -> None:
        """Wait until the reactor has to read again."""
        while self.bell is not None:
            await self._returned.wait()

    def take(self) -> None:
        """Begin to lead, in the task of the listener that got the lead."""
        self._flusher.leader = self

    def give_back(self) -> None:
        """Have the reactor read again: the leader is about to wait for something else."""
        self._flusher.leader = None
        if self.bell is not None:
            self._passed_over[self.bell] = PASSED_OVER
            self.bell = None
            self._spins = 0
            self._returned.ring()

    def leave(self, bell: ListenerBell) -> None:
        """Forget a listener that ends."""
        if self.bell is bell:
            self.give_back()
        self._passed_over.pop(bell, None)

    async def turn(self, bell: ListenerBell) -> None:
        """Read for all as soon as there is something, or return when the leader's doorbell is rung."""
        flusher, ready = self._flusher, None
        if self._spins:
            if flusher.dirty:
                flusher.flush()  # this can ring, too
            if not bell.rung:
                ready = self._look_again()
        if bell.rung:
            bell.rung = False
            return
        if ready is None:
            began = perf_counter() if self.spins else 0.0
            flusher.leader, self.at_poller = None, bell
            try:
                await self.poller.wait()
            except trio.ClosedResourceError:  # the reactor has ended, and so will the listener
                await trio.sleep_forever()
            finally:
                flusher.leader, self.at_poller = self, None
            if self.spins:  # a wait that was short shows that it pays to look again before the next
                now = perf_counter()
                self._spins_until = now + TURN_SECONDS
                self._spins = min(self._spins + 1, SPINS_IN_VAIN) if now - began < SPIN_SECONDS else 0
        self.times_rung = 0
        self._read(ready)
        if self.times_rung and not bell.rung:
            self.give_back()
        bell.rung = False

    def _look_again(self) -> list[tuple[int, int]] | None:
        """Return the events of the poller within 60 us; None if there are none, or if other tasks must have a turn."""
        now = perf_counter()
        if now > self._spins_until:
            return None
        until = now + SPIN_SECONDS
        poll = self.poller.poll
        while not (ready := poll()):
            if perf_counter() > until:
                self._spins -= 1
                return None
        return ready
