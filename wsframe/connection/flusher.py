"""Flushes queued frames: each task that sends does so whenever it is about to wait.

How it works. Sending is a plain function that never waits: it puts a frame into an outbox. The first frame
in an empty outbox marks that outbox as dirty; later ones find it marked. A dirty outbox must be flushed
soon, but not at once: a hook that sends a hundred replies should cost one system call, not a hundred.

The right moment is when the running task is about to wait, for anything: its mailbox, a lock, a sleep.
Until then no other task runs, so no peer could have noticed the difference; after that, it could be long.
So :func:`flushing` wraps a task and drives its coroutine step by step. After each step, which ends where
the coroutine yields to trio, the dirty outboxes are flushed. The reactor, the attendant, the timer and the
listeners of resources are wrapped like this.

Tasks of the user are not wrapped. If such a task sends, ``mark`` sees that no wrapped task is in its turn
and rings the doorbell of the reactor's attendant, which is wrapped, wakes, and thereby flushes.

The rules:

1. An outbox that has frames is either dirty, and then it is in ``dirty``, or blocked, and then the poller
   reports when the kernel takes bytes again. No frame waits for neither.
2. When a wrapped task waits, either nothing is dirty or the doorbell has been rung.
3. One flush serves at most 512 outboxes and lasts about 5 ms, because everybody else waits for its end. The
   rest stays dirty, and the attendant goes on after others have had their turn.
4. A flush never waits for a peer: the kernel takes bytes, or the outbox is blocked.
5. An error of our own while sending costs that connection alone; the others of the batch are still served.
6. Outboxes belong to trio's thread. A send from another thread is refused, because it could neither mark
   nor ring safely.
7. The wrapper is transparent: values, errors and cancellations pass through it in both directions.

In C, ``send_whole`` sends the outboxes whose frames leave in one call and returns the others for Python.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from math import inf
from threading import get_ident
from time import perf_counter
from types import coroutine
from typing import Protocol, TypeVar

import trio

from wsframe.connection.memory_budget import Budget
from wsframe.doorbell import FROM_THREAD, Doorbell
from wsframe.log import Log, log_for
from wsframe.speedups import shortcut
from wsframe.user_code.errors import contain

__all__ = ["Flushable", "Flusher", "flushing"]

logger: Log = log_for(__name__)

ResultT = TypeVar("ResultT")

# Sockets one flush serves before other tasks have their turn, and the time that those may take for which
# Python does it: each ends for its length too, but many long ones are a long time together.
FLUSH_AT_ONCE = 512
FLUSH_SECONDS = 0.005
# Outboxes between two looks at the clock.
LOOK_AT_CLOCK = 4


class Breakable(Protocol):
    """The connection that an outbox sends on."""

    def broken(self) -> None: ...


class Flushable(Protocol):
    """An outbox, as far as its flusher needs it."""

    @property
    def owner(self) -> Breakable: ...
    def flush(self) -> None: ...


def nothing_sent(outboxes: list[Flushable]) -> list[Flushable]:
    """Return every outbox, for Python to flush.

    In its place C sends the outboxes whose frames leave in one call, and returns the others.
    """
    return outboxes


send_whole: Callable[[list[Flushable]], list[Flushable]] = shortcut("send_whole", nothing_sent)


def flush_failed(outbox: Flushable, error: BaseException) -> None:
    """Give up a connection to which our own code could not send; no other is concerned."""
    logger.error("could not send: %r", outbox.owner, exc_info=error)
    outbox.owner.broken()


class Leader(Protocol):
    """The right to read all sockets, while a listener has it."""

    def give_back(self) -> None: ...


class Flusher:
    """The outboxes of one reactor that have something to send."""

    __slots__ = ("budget", "clock", "dirty", "doorbell", "in_turn", "leader", "thread")

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget: Budget = budget or Budget()
        self.clock: Callable[[], float] = perf_counter
        self.dirty: list[Flushable] = []
        self.doorbell: Doorbell = Doorbell()
        """Rings the reactor's attendant, which flushes for tasks that do not do so themselves."""
        self.in_turn: bool = False
        """Whether the running task flushes before it waits."""
        self.leader: Leader | None = None
        """The lead, while the running task has it, and gives it back before it waits."""
        self.thread: int = get_ident()
        """Trio's thread, in which such a task runs."""

    def mark(self, outbox: Flushable) -> None:
        """Note the first outbox of a turn."""
        # Within a turn the thread says it, for a fifth of the time that trio takes to.
        if get_ident() != self.thread if self.in_turn else not trio.lowlevel.in_trio_run():
            raise RuntimeError(FROM_THREAD)
        if not self.in_turn:
            self.doorbell.ring()
        self.dirty.append(outbox)

    def flush(self) -> None:
        """Send the dirty outboxes, at most 512 of them and for about 5 ms; the attendant does the rest."""
        dirty = self.dirty
        batch = dirty[:FLUSH_AT_ONCE]
        del dirty[:FLUSH_AT_ONCE]
        left = send_whole(batch)
        if left:
            self._flush_each(left)
        if dirty:
            self.doorbell.ring()

    def _flush_each(self, left: list[Flushable]) -> None:
        """Send the outboxes that need Python; those for which there is no time are dirty again."""
        until = self.clock() + FLUSH_SECONDS if len(left) > LOOK_AT_CLOCK else inf
        for at, outbox in enumerate(left, 1):
            try:
                outbox.flush()
            except BaseException as error:
                contain(error)
                flush_failed(outbox, error)
            if at % LOOK_AT_CLOCK == 0 and self.clock() > until:
                self.dirty[:0] = left[at:]
                break


@coroutine
def drive(steps: Coroutine[object, object, ResultT], flusher: Flusher) -> Generator[object, object, ResultT]:
    """Run a coroutine and flush each time it is about to wait."""
    send, throw = steps.send, steps.throw
    value: object = None
    error: BaseException | None = None
    while True:
        flusher.in_turn = True
        try:
            if error is None:
                trap = send(value)
            else:
                trap, error = throw(error), None
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        finally:
            flusher.in_turn = False
            if flusher.dirty:
                flusher.flush()
            if flusher.leader is not None:
                flusher.leader.give_back()
        try:
            value = yield trap
        except BaseException as raised:  # handed on whole: the coroutine decides
            error = raised


def flushing(steps: Coroutine[object, object, ResultT], flusher: Flusher) -> Awaitable[ResultT]:
    """Wrap a task so that its frames leave whenever it waits, for anything.

    One batch of messages is then one system call per client, and nothing that was sent
    lies around while the sender sleeps.
    """
    return drive(steps, flusher)
