"""Newcomers whose peers go while user code decides about them: their tasks are cancelled."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from types import coroutine
from typing import TypeVar

from wsframe.connection.reactor import Reactor
from wsframe.net.poller import GONE
from wsframe.server.newcomer import Newcomer

__all__ = ["Lookout"]

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


class Lookout:
    """Watches for the end of peers that wait for an answer.

    Args:
        reactor: Its poller reports the end.
        decided: Called with a newcomer that does not count as under way any more.
        most: The number of peers that have shut their side and can wait for an answer without counting there.
    """

    def __init__(self, reactor: Reactor, decided: Callable[[Newcomer], object], most: int) -> None:
        self._reactor = reactor
        self._decided = decided
        self._most = most
        self._half_closed: set[Newcomer] = set()

    async def over(
        self, newcomer: Newcomer, steps: Coroutine[object, object, ResultT], *, half_closed: bool = False
    ) -> ResultT:
        """Await a decision about a newcomer; cancel the newcomer if its peer goes in the meantime.

        A decision that does not wait is not watched: the caller looks whether the peer is there afterwards.

        Args:
            newcomer: The newcomer.
            steps: The coroutine that decides.
            half_closed: Whether the peer can shut its side and wait for the answer, as plain HTTP allows.
        """
        return await within_if_waiting(self._watching(newcomer, half_closed=half_closed), steps)

    @contextmanager
    def _watching(self, newcomer: Newcomer, *, half_closed: bool) -> Iterator[None]:
        fd = newcomer.sock.fileno()
        self._reactor.look_out(fd, partial(self._leaves, newcomer, half_closed))
        try:
            yield
        finally:
            self._reactor.look_away(fd)
            self._half_closed.discard(newcomer)

    def _leaves(self, newcomer: Newcomer, half_closed: bool, flags: int) -> None:
        if half_closed and not flags & GONE and len(self._half_closed) < self._most:
            # Most of them have gone, which does not show; their places are for peers that may still be there.
            self._half_closed.add(newcomer)
            self._decided(newcomer)
        else:
            newcomer.leave()
