"""Newcomers whose peers disconnect while user code decides about them: their tasks are cancelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import AbstractContextManager
from functools import partial
from types import coroutine
from typing import TypeVar

from wsframe.connection.reactor import Reactor
from wsframe.net.poller import GONE
from wsframe.server.newcomers.newcomer import Newcomer

__all__ = ["Disconnects"]

ResultT = TypeVar("ResultT")


@coroutine
def within_if_waiting(
    watch: AbstractContextManager[None], steps: Coroutine[object, object, ResultT]
) -> Generator[object, object, ResultT]:
    """Run a coroutine, from the moment at which it begins to wait inside of a ``with``."""
    try:
        trap = steps.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    step: Callable[[], object]
    with watch:
        while True:
            try:
                value = yield trap
            except BaseException as error:  # handed on whole: the coroutine decides
                step = partial(steps.throw, error)
            else:
                step = partial(steps.send, value)
            try:
                trap = step()
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]


class Disconnects:
    """Watches for the end of peers that wait for an answer.

    Args:
        reactor: Its poller reports the end.
        decided: Called with a newcomer that does not count as under way any more.
        most: The number of peers that have shut their side and can wait for an answer without counting there.
    """

    def __init__(self, reactor: Reactor, decided: Callable[[Newcomer], object], most: int) -> None:
        self.reactor: Reactor = reactor
        self.decided: Callable[[Newcomer], object] = decided
        self.most: int = most
        self.half_closed: set[Newcomer] = set()
        """The peers that have shut their side and wait for an answer."""

    def watch(
        self, newcomer: Newcomer, steps: Coroutine[object, object, ResultT], *, half_closed: bool = False
    ) -> Awaitable[ResultT]:
        """Await a decision about a newcomer; cancel the newcomer if its peer goes in the meantime.

        A decision that does not wait is not watched: the caller looks whether the peer is there afterwards.

        Args:
            newcomer: The newcomer.
            steps: The coroutine that decides.
            half_closed: Whether the peer can shut its side and wait for the answer, as plain HTTP allows.
        """
        return within_if_waiting(Watch(self, newcomer, with_half=half_closed), steps)


class Watch:
    """Watches for the end of one peer, within a ``with``. A class, because a generator would take 0.4 KiB more."""

    __slots__ = ("_disconnects", "_fd", "_newcomer", "_with_half")

    def __init__(self, disconnects: Disconnects, newcomer: Newcomer, *, with_half: bool) -> None:
        self._disconnects = disconnects
        self._newcomer = newcomer
        self._with_half = with_half
        self._fd = -1

    def __enter__(self) -> None:
        """Begin."""
        if self._newcomer.request is not None:
            self._newcomer.request._parsed = None  # for as long as it waits
        self._fd = self._newcomer.sock.fileno()
        self._disconnects.reactor.look_out(self._fd, self)

    def __exit__(self, *_: object) -> None:
        """End."""
        self._disconnects.reactor.look_away(self._fd)
        self._disconnects.half_closed.discard(self._newcomer)
        if self._newcomer.request is not None:
            self._newcomer.request._parsed = self._newcomer.request.headers

    def __call__(self, flags: int) -> None:
        """Hear from the reactor that the peer has gone, or has shut its side."""
        disconnects = self._disconnects
        if self._with_half and not flags & GONE and len(disconnects.half_closed) < disconnects.most:
            # Most of them have gone, which does not show; their places are for peers that can still be there.
            disconnects.half_closed.add(self._newcomer)
            disconnects.decided(self._newcomer)
        else:
            self._newcomer.leave()
