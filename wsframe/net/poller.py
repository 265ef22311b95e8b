"""Asks the kernel which sockets are ready: one interface over epoll, kqueue and trio tasks.

The reactor polls without waiting and waits through trio for the poller itself to become
readable, so trio schedules one task per batch of ready sockets. Not the ``selectors``
module: it hides errors and hang-ups and cannot watch for nothing, which a paused client is.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Literal, Protocol, TypeAlias

import trio

from wsframe.doorbell import Doorbell
from wsframe.net.sockets import has_ended

__all__ = ["END", "GONE", "READ", "WRITE", "Poller", "PollerChoice", "PollerName", "make_poller"]

# Flags are epoll's own values, so that on Linux nothing is translated.
READ = 0x001
WRITE = 0x004
GONE = 0x008 | 0x010
"""An error, or both directions shut. Reported for any mask, 0 too; not by every poller."""
END = 0x2000
"""The peer sends no more, or has gone, whatever there is to be read before that. It is asked for where READ is not,
and is reported for as long as it is asked for: take it out of the mask when it has been."""

# For fairness to other tasks; asking for more at once costs no more.
AT_ONCE = 1024

# How often the task poller asks for an end that may come after bytes that are not read.
LOOK_AGAIN = 0.25

PollerName = Literal["auto", "epoll", "kqueue", "task"]


class Poller(Protocol):
    """Watches sockets, level-triggered."""

    asks_kernel: bool
    """Whether :meth:`poll` finds out for itself, and does not learn from other tasks."""

    def watch(self, fd: int, mask: int) -> None:
        """Watch ``fd`` for the flags of ``mask``; 0 keeps it registered and reports only GONE."""

    def add(self, fd: int, mask: int) -> None:
        """Watch ``fd``, which most likely is not watched yet."""

    def forget(self, fd: int) -> None:
        """Stop watching ``fd``, which is about to be closed."""

    def poll(self) -> list[tuple[int, int]]:
        """Return ``(fd, flags)`` of each socket that is ready now, without waiting."""

    def wait(self) -> Awaitable[None]:
        """Wait until :meth:`poll` has something, or :meth:`wake` is called."""

    def wake(self) -> None:
        """Have the task that waits go on, though no socket is ready."""

    def close(self) -> None:
        """Give back the poller's own descriptors."""


if sys.platform == "linux":

    class EpollPoller:
        """epoll, the poller of Linux. END is its RDHUP."""

        asks_kernel = True

        def __init__(self) -> None:
            self._epoll = select.epoll()
            self._waker = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._epoll.register(self._waker, select.EPOLLIN | select.EPOLLET)  # each write is told once
            # Functions of C: a method of ours for each would be a call more for each turn of the reactor.
            self.poll: Callable[[], list[tuple[int, int]]] = partial(self._epoll.poll, 0, AT_ONCE)
            self.wait: Callable[[], Awaitable[None]] = partial(trio.lowlevel.wait_readable, self._epoll.fileno())
            self.wake: Callable[[], None] = partial(os.eventfd_write, self._waker, 1)

        def watch(self, fd: int, mask: int) -> None:
            try:
                self._epoll.modify(fd, mask)
            except FileNotFoundError:  # the kernel knows which there are; a set of them would take 40 bytes a client
                self._epoll.register(fd, mask)

        def add(self, fd: int, mask: int) -> None:
            try:
                self._epoll.register(fd, mask)
            except FileExistsError:
                self._epoll.modify(fd, mask)

        def forget(self, fd: int) -> None:
            try:  # noqa: SIM105 (for each connection that ends, and suppress() is three calls)
                self._epoll.unregister(fd)
            except OSError:  # it is not there
                pass

        def close(self) -> None:
            trio.lowlevel.notify_closing(self._epoll.fileno())
            self._epoll.close()
            os.close(self._waker)


if sys.platform != "linux" and sys.platform != "win32":  # pragma: no cover
    UNREACHABLE = 0x7FFFFFFF

    class KqueuePoller:
        """kqueue, the poller of macOS and the BSDs. END is a read filter that no number of bytes satisfies."""

        asks_kernel = True

        def __init__(self) -> None:
            self._kqueue = select.kqueue()
            self._masks: dict[int, int] = {}
            self._woken, self._waker = os.pipe()
            os.set_blocking(self._woken, False)
            os.set_blocking(self._waker, False)
            self._kqueue.control([select.kevent(self._woken, select.KQ_FILTER_READ, select.KQ_EV_ADD)], 0)

        def watch(self, fd: int, mask: int) -> None:
            before = self._masks.get(fd, 0)
            self._masks[fd] = mask
            changes = []
            if (before ^ mask) & WRITE:
                action = select.KQ_EV_ADD if mask & WRITE else select.KQ_EV_DELETE
                changes.append(select.kevent(fd, select.KQ_FILTER_WRITE, action))
            if (before ^ mask) & (READ | END):
                if mask & READ:  # adding one that is there changes it
                    changes.append(select.kevent(fd, select.KQ_FILTER_READ, select.KQ_EV_ADD, 0, 0))
                elif mask & END:
                    changes.append(
                        select.kevent(fd, select.KQ_FILTER_READ, select.KQ_EV_ADD, select.KQ_NOTE_LOWAT, UNREACHABLE)
                    )
                else:
                    changes.append(select.kevent(fd, select.KQ_FILTER_READ, select.KQ_EV_DELETE))
            if changes:
                self._kqueue.control(changes, 0)

        add = watch

        def forget(self, fd: int) -> None:
            self.watch(fd, 0)
            del self._masks[fd]

        def poll(self) -> list[tuple[int, int]]:
            found: dict[int, int] = {}
            for event in self._kqueue.control(None, AT_ONCE, 0):
                if event.ident == self._woken:
                    os.read(self._woken, AT_ONCE)
                    continue
                flag = WRITE
                if event.filter == select.KQ_FILTER_READ:
                    flag = READ if self._masks.get(event.ident, 0) & READ else END
                    if flag == END and not event.flags & select.KQ_EV_EOF:
                        continue  # a kernel that has a low water mark of its own
                found[event.ident] = found.get(event.ident, 0) | flag
            return list(found.items())

        def wait(self) -> Awaitable[None]:
            return trio.lowlevel.wait_readable(self._kqueue.fileno())  # noqa: ASYNC105 (the caller awaits it)

        def wake(self) -> None:
            with suppress(BlockingIOError):  # full: it will be told anyway
                os.write(self._waker, b"\0")

        def close(self) -> None:
            trio.lowlevel.notify_closing(self._kqueue.fileno())
            self._kqueue.close()
            os.close(self._woken)
            os.close(self._waker)


class TaskPoller:
    """One waiting trio task per socket and direction: for Windows, where there is neither."""

    asks_kernel = False

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._masks: dict[int, int] = {}
        self._waiting: dict[tuple[int, int], trio.CancelScope] = {}
        self._ready: dict[int, int] = {}
        self._doorbell = Doorbell()

    def watch(self, fd: int, mask: int) -> None:
        self._masks[fd] = mask
        if mask & READ:
            mask &= ~END  # its reader finds the end, and trio takes one waiting task for each direction
        for flag in (READ, WRITE, END):
            scope = self._waiting.get((fd, flag))
            if mask & flag and scope is None:
                self._waiting[fd, flag] = scope = trio.CancelScope()
                self._nursery.start_soon(self._wait_for, fd, flag, scope)
            elif scope is not None and not mask & flag:
                scope.cancel()
                del self._waiting[fd, flag]

    add = watch

    def forget(self, fd: int) -> None:
        self.watch(fd, 0)
        del self._masks[fd]
        self._ready.pop(fd, None)
        trio.lowlevel.notify_closing(fd)

    async def _wait_for(self, fd: int, flag: int, scope: trio.CancelScope) -> None:
        with scope:
            # Called off before it began, and perhaps another task waits already: trio takes one.
            if self._waiting.get((fd, flag)) is not scope:
                return
            try:
                if flag == WRITE:
                    await trio.lowlevel.wait_writable(fd)
                else:
                    await trio.lowlevel.wait_readable(fd)
                while flag == END and not has_ended(fd):  # noqa: ASYNC110
                    await trio.sleep(LOOK_AGAIN)
            except trio.ClosedResourceError:
                return
            # Between readiness and this line the socket may have been closed and its number reused.
            if self._waiting.get((fd, flag)) is scope:
                del self._waiting[fd, flag]
                self._ready[fd] = self._ready.get(fd, 0) | flag
                self._doorbell.ring()

    def poll(self) -> list[tuple[int, int]]:
        found = [(fd, flags & self._masks[fd]) for fd, flags in self._ready.items() if flags & self._masks[fd]]
        self._ready.clear()
        return found

    async def wait(self) -> None:
        # Level-triggered: a reported socket is waited for again, if it is still watched.
        for fd, mask in self._masks.items():
            self.watch(fd, mask)
        await self._doorbell.wait()

    def wake(self) -> None:
        self._doorbell.ring()

    def close(self) -> None:
        for fd in list(self._masks):
            self.forget(fd)


PollerChoice: TypeAlias = PollerName | Callable[[trio.Nursery], Poller]


def make_poller(name: PollerChoice, nursery: trio.Nursery) -> Poller:
    """Make the poller called ``name``, or by ``name`` itself; ``auto`` takes the best of the platform.

    Raises:
        ValueError: For one this platform does not have.
    """
    if callable(name):
        return name(nursery)
    if sys.platform == "linux" and name in ("auto", "epoll"):
        return EpollPoller()
    if sys.platform != "linux" and sys.platform != "win32":  # pragma: no cover
        if name in ("auto", "kqueue") and hasattr(select, "kqueue"):
            return KqueuePoller()
    if name in ("auto", "task"):
        return TaskPoller(nursery)
    raise ValueError(f"this platform has no poller {name!r}")
