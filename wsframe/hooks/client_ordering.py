"""Calling hooks with ``ordering = "client"``: one task is on watch, the others are in hooks that wait.

How it works
------------

All clients share the mailbox of the resource, as with any other ordering, and one task takes entries out of it and
calls the hooks: the one *on watch*. As long as no hook waits it is the only one, and a message costs hardly more than
with one order for all. When a hook waits, its task stays in it, and another takes over the watch: a spare task if
there is one, else a new one. Entries of that client wait in its *backlog* from then on. The task works off the backlog
when the hook has ended, and is a spare after that.

So there are as many tasks as hooks have waited at the same time, however many clients there are.

Invariants
----------

1. One task is on watch: it alone takes from the mailbox, and only it, or a spare, is woken by the mailbox's doorbell.
2. A client has a backlog exactly as long as a hook of it waits, or the backlog is worked off. Its entries are in order:
   the backlog's first, then those of the mailbox.
3. Entries that belong to no client (posts, calls, notices) have one backlog together: their hooks never overlap.
4. An errand is done while no hook waits, and no other begins: the watch stays with it.
5. If the tasks are cancelled, entries in backlogs are back in the mailbox once all hooks have ended.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from wsframe.connection.flusher import Flusher, flushing
from wsframe.connection.mailbox import Backlog, Inbox, Mailbox
from wsframe.doorbell import Happening
from wsframe.hooks.caller import BATCH, BATCH_SECONDS, HookCaller
from wsframe.hooks.context_vars import going_on, take_context
from wsframe.hooks.posts import Errand, Posts
from wsframe.hooks.stopwatch import Stopwatch, Turn
from wsframe.resources.client import Client
from wsframe.user_code.errors import Nesting
from wsframe.user_code.protected_nursery import ProtectedNursery

if TYPE_CHECKING:
    AnyClient = Client[Any]
    ClientMailbox = Mailbox[AnyClient]
    ClientInbox = Inbox[AnyClient]

__all__ = ["ClientOrdering"]

SPARES = 64
"""This many spare tasks are kept, or as many as there are tasks in hooks if these are more."""


class WaitingHook(NamedTuple):
    """A hook that waits."""

    inbox: ClientInbox | None
    steps: Coroutine[object, object, object]
    trap: object
    """The first value that it yielded, which trio has not seen yet."""
    began: float


class ClientOrdering:
    """Calls the hooks of one life of a resource, with an order for each client.

    Args:
        hooks: Calls the hooks.
        mailbox: The mailbox of the life.
        posts: Takes its posts and calls.
        flusher: The flusher of the server's reactor.
        turns: Has a turn for each task, for the watchdog.
        may_end: Returns whether the life is over as soon as no hook waits.
        over: Set when it is: no client can join from then on.
    """

    def __init__(
        self,
        hooks: HookCaller,
        mailbox: ClientMailbox,
        posts: Posts,
        flusher: Flusher,
        turns: set[Turn],
        may_end: Callable[[], bool],
        over: Happening,
    ) -> None:
        self._hooks = hooks
        self._mailbox = mailbox
        self._bell = mailbox.doorbell
        self._posts = posts
        self._flusher = flusher
        self._turns = turns
        self._may_end = may_end
        self._over = over
        self._stopwatch = Stopwatch(hooks.counters, mailbox)
        self._backlogs: dict[ClientInbox | None, Backlog[AnyClient]] = {}
        self._spares: list[trio.lowlevel.Task] = []
        self._aside: list[Errand] = []
        """Errands that were reached while a hook waited; their turn comes when no hook waits."""
        self._nursery: ProtectedNursery

    async def run(self) -> None:
        """Call hooks until the life can end."""
        self._mailbox.backlogs = self._backlogs
        try:
            async with ProtectedNursery() as self._nursery:
                await self._serve()
        finally:
            for backlog in self._backlogs.values():
                self._mailbox.entries.extendleft(reversed(backlog.entries))
            self._put_back()
            self._backlogs.clear()

    # The watch

    async def _serve(self) -> None:
        turn = Turn(trio.lowlevel.current_task())
        self._turns.add(turn)
        try:
            await take_context(self._hooks.context)
            nesting = Nesting()
            while await self._stand_watch(nesting, turn):
                if len(self._spares) >= max(SPARES, len(self._backlogs)):
                    break
                await self._until_called()
        finally:
            self._turns.discard(turn)

    async def _stand_watch(self, nesting: Nesting, turn: Turn) -> bool:
        """Call hooks until one has waited and all entries after it are done; return False at the end of the life."""
        bell, entries = self._bell, self._mailbox.entries
        while True:
            bell.rung = False  # entries and flags are looked at now
            if not entries:
                if not self._backlogs and self._may_end():
                    self._over.set()  # before anybody else can run
                    self._nursery.cancel()
                    return False
                await bell.wait()
                continue
            waiting = await self._batch(nesting, turn)
            if waiting is not None:
                await self._stay(waiting, nesting, turn)
                return True
            turn.since = 0.0
            if entries:
                await trio.lowlevel.checkpoint()

    def _pass_on(self) -> None:
        """Have another task take over the watch."""
        if not self._spares:
            self._nursery.start_soon(self._serve_and_flush)
        elif self._mailbox.entries:
            trio.lowlevel.reschedule(self._spares.pop())
        else:
            self._bell.park(self._spares.pop())

    async def _serve_and_flush(self) -> None:
        await flushing(self._serve(), self._flusher)

    async def _until_called(self) -> None:
        """Wait, as a spare task, for the watch."""
        task = trio.lowlevel.current_task()
        self._spares.append(task)

        def abort(_: object) -> trio.lowlevel.Abort:
            if task in self._spares:
                self._spares.remove(task)
            elif not self._bell.unpark(task):  # it has the watch, and goes on
                return trio.lowlevel.Abort.FAILED
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
        self._bell.woken()

    # Hooks

    async def _batch(self, nesting: Nesting, turn: Turn) -> WaitingHook | None:
        """Call hooks for at most 256 entries or 2 ms, or until one waits; return that one."""
        entries, backlogs, hooks = self._mailbox.entries, self._backlogs, self._hooks
        rung_at, count, waiting = self._bell.rung_at, 0, None
        began = last = turn.since = perf_counter()
        until = began + BATCH_SECONDS
        while entries and count < BATCH and (now := perf_counter()) < until:
            last = now
            inbox, entry = entries.popleft()
            if backlogs:
                if type(entry) is Errand:  # the hook that waits can need an entry after it
                    self._aside.append(entry)
                    continue
                if inbox in backlogs:
                    backlogs[inbox].append(inbox, entry)
                    continue
            if inbox is not None:
                steps = hooks.deliver(self._mailbox, nesting, inbox, entry)
            elif type(entry) is not Errand:
                steps = self._deliver_own(nesting, entry)
            else:
                await hooks.deliver(self._mailbox, nesting, None, entry)
                continue
            try:
                trap = steps.send(None)
            except StopIteration:
                count += 1
            else:
                waiting = WaitingHook(inbox, steps, trap, last)
                self._pass_on()
                break
        ended = last if waiting else perf_counter()
        hooks.seconds += ended - began
        self._stopwatch.note(rung_at, began, last, ended, count)
        return waiting

    async def _stay(self, waiting: WaitingHook, nesting: Nesting, turn: Turn) -> None:
        """Let a hook that waits end, and work off the entries that came for its client in the meantime."""
        inbox = waiting.inbox
        backlog = self._backlogs[inbox] = Backlog()
        await going_on(waiting.steps, waiting.trap, called)
        now = self._count(waiting.began)
        if backlog.entries:
            self._hooks.counters.waits.add(now - backlog.since)
        until = now + BATCH_SECONDS
        while backlog.entries:
            if now > until:
                await trio.lowlevel.checkpoint()
                until = perf_counter() + BATCH_SECONDS
            began = turn.since = perf_counter()
            _, entry = backlog.entries.popleft()
            if inbox is None:
                await self._deliver_own(nesting, entry)
            else:
                await self._hooks.deliver(self._mailbox, nesting, inbox, entry)
            now = self._count(began)
        turn.since = 0.0
        del self._backlogs[inbox]
        if not self._backlogs:
            self._put_back()
        if self._mailbox.entries or self._may_end():
            self._bell.ring()

    def _count(self, began: float) -> float:
        """Count a hook that has ended, and return the time."""
        now = perf_counter()
        self._hooks.seconds += now - began
        self._hooks.counters.hooks.add(now - began)
        return now

    async def _deliver_own(self, nesting: Nesting, entry: object) -> None:
        """Call the hook for an entry that belongs to no client; a call in it would wait for itself."""
        self._posts.task = nesting.task
        try:
            await self._hooks.deliver(self._mailbox, nesting, None, entry)
        finally:
            self._posts.task = None

    def _put_back(self) -> None:
        """Have the errands that were put aside come next."""
        self._mailbox.entries.extendleft((None, errand) for errand in reversed(self._aside))
        self._aside.clear()


def called(step: Callable[[], object]) -> object:
    return step()
