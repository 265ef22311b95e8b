"""The poller of macOS and the BSDs, over a kernel queue that is made of epoll where there is none.

The stand-in keeps the registrations as kqueue does, by descriptor and filter, and checks each change as the kernel
would: a filter that is not there cannot be deleted.
"""

from __future__ import annotations

import importlib
import os
import select
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import trio

from wsframe.net import poller as pollers
from wsframe.net.poller import END, READ, WRITE, Poller

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="the stand-in is made of epoll")

ADD, DELETE, EOF, LOWAT = 0x0001, 0x0002, 0x8000, 0x0001
FILTER_READ, FILTER_WRITE = -1, -2


class Event(NamedTuple):
    """A change, or a report."""

    ident: int
    filter: int = FILTER_READ
    flags: int = ADD
    fflags: int = 0
    data: int = 0


class Queue:
    """Answers as a kernel queue does."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._wanted: dict[tuple[int, int], Event] = {}
        self.without_low_water = False
        """Whether it reports bytes below the mark, as some kernels do."""

    def control(self, changes: Sequence[Event] | None, most: int, timeout: float | None = None) -> list[Event]:
        for change in changes or ():
            key = change.ident, change.filter
            if change.flags & DELETE:
                del self._wanted[key]  # ENOENT, if it is not there
            else:
                assert change.flags & ADD
                self._wanted[key] = change
            self._note(change.ident)
        found = [event for fd, flags in self._epoll.poll(0) for event in self._events(fd, flags)] if most else []
        return found[:most]

    def _note(self, fd: int) -> None:
        mask = select.EPOLLIN | select.EPOLLRDHUP if (fd, FILTER_READ) in self._wanted else 0
        mask |= select.EPOLLOUT if (fd, FILTER_WRITE) in self._wanted else 0
        try:
            self._epoll.modify(fd, mask)
        except FileNotFoundError:
            self._epoll.register(fd, mask)

    def _events(self, fd: int, flags: int) -> Iterator[Event]:
        read, write = self._wanted.get((fd, FILTER_READ)), self._wanted.get((fd, FILTER_WRITE))
        ended = EOF if flags & (select.EPOLLRDHUP | select.EPOLLHUP) else 0
        if read is not None and flags & (select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP):
            below = bool(read.fflags & LOWAT) and not self.without_low_water
            if ended or not below:
                yield Event(fd, FILTER_READ, ended)
        if write is not None and flags & (select.EPOLLOUT | select.EPOLLHUP):
            yield Event(fd, FILTER_WRITE, EOF if flags & select.EPOLLHUP else 0)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def close(self) -> None:
        self._epoll.close()


@pytest.fixture
def kqueue(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the module as on a system that has kqueue."""
    for name, value in {
        "kqueue": Queue, "kevent": Event, "KQ_FILTER_READ": FILTER_READ, "KQ_FILTER_WRITE": FILTER_WRITE,
        "KQ_EV_ADD": ADD, "KQ_EV_DELETE": DELETE, "KQ_EV_EOF": EOF, "KQ_NOTE_LOWAT": LOWAT,
    }.items():  # fmt: skip
        monkeypatch.setattr(select, name, value, raising=False)
    spec = importlib.util.spec_from_file_location("wsframe.net.poller_with_kqueue", pollers.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(sys, "platform", "darwin")
        spec.loader.exec_module(module)
    return module


@pytest.fixture
async def poller(kqueue: ModuleType) -> AsyncIterator[Any]:
    made: Poller = kqueue.KqueuePoller()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


Pair = tuple[socket.socket, socket.socket]


async def test_it_reports_bytes_and_room_that_are_asked_for(poller: Any, pair: Pair) -> None:
    ours, theirs = pair
    fd = ours.fileno()
    poller.watch(fd, READ)
    assert poller.poll() == []
    theirs.send(b"x")
    await poller.wait()
    assert poller.poll() == poller.poll() == [(fd, READ)]
    poller.watch(fd, READ | WRITE)
    assert poller.poll() == [(fd, READ | WRITE)]
    poller.watch(fd, WRITE)
    assert poller.poll() == [(fd, WRITE)]
    poller.forget(fd)
    assert poller.poll() == []


@pytest.mark.parametrize("without_low_water", [False, True])
async def test_a_paused_client_is_reported_at_its_end_and_not_before(
    poller: Any, pair: Pair, without_low_water: bool
) -> None:
    poller._kqueue.without_low_water = without_low_water
    ours, theirs = pair
    fd = ours.fileno()
    poller.watch(fd, READ)
    poller.watch(fd, END)
    theirs.send(b"bytes that nobody reads")
    assert poller.poll() == []
    theirs.shutdown(socket.SHUT_WR)
    assert poller.poll() == [(fd, END)]
    poller.watch(fd, 0)  # the link takes it out once it has been told
    assert poller.poll() == []
    poller.watch(fd, END | WRITE)
    assert poller.poll() == [(fd, END | WRITE)]
    poller.watch(fd, READ)
    assert poller.poll() == [(fd, READ)]


async def test_every_way_between_masks_leaves_what_the_last_one_asks_for(poller: Any, pair: Pair) -> None:
    ours, theirs = pair
    fd = ours.fileno()
    theirs.send(b"x")
    theirs.shutdown(socket.SHUT_WR)
    masks = [0, READ, WRITE, END, READ | WRITE, END | WRITE]
    for before in masks:
        for after in masks:
            poller.watch(fd, before)
            poller.watch(fd, after)
            assert poller.poll() == ([(fd, after)] if after else []), (before, after)
    poller.forget(fd)


async def test_waking_it_ends_the_wait_once(poller: Any) -> None:
    for _ in range(3):
        poller.wake()
    with trio.fail_after(30):
        await poller.wait()
    assert poller.poll() == []
    with trio.move_on_after(0) as scope:
        await poller.wait()
    assert scope.cancelled_caught


async def test_waking_it_never_waits(poller: Any) -> None:
    for _ in range(1 << 17):  # more than a pipe takes
        poller.wake()
    while poller.poll() or select.select([poller._woken], [], [], 0)[0]:
        pass


@pytest.mark.parametrize("name", ["auto", "kqueue"])
async def test_it_is_chosen_where_there_is_no_epoll(
    kqueue: ModuleType, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(sys, "platform", "darwin")
        made = kqueue.make_poller(name, nursery)
    assert type(made).__name__ == "KqueuePoller"
    descriptors = made._woken, made._waker
    made.close()
    for fd in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
