"""Newcomers whose peers go while user code decides about them: nobody works for them any more."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from functools import partial

from wsframe.connection.reactor import Reactor
from wsframe.net.poller import GONE
from wsframe.server.newcomer import Newcomer

__all__ = ["Lookout"]


class Lookout:
    """Looks out for the end of peers that wait for an answer.

    Args:
        reactor: Whose poller tells.
        pending: The newcomers that hold a place of those under way.
        most: How many that have shut their side may wait for an answer without such a place.
    """

    def __init__(self, reactor: Reactor, pending: MutableMapping[Newcomer, None], most: int) -> None:
        self._reactor = reactor
        self._pending = pending
        self._most = most
        self._half_closed: set[Newcomer] = set()

    @contextmanager
    def over(self, newcomer: Newcomer, *, half_closed: bool = False) -> Iterator[None]:
        """Cancel a newcomer whose peer goes before the body is left.

        Args:
            newcomer: The newcomer.
            half_closed: Whether the peer may shut its side and wait for the answer, as plain HTTP allows.
        """
        fd = newcomer.sock.fileno()
        self._reactor.look_out(fd, partial(self._leaves, newcomer, half_closed))
        try:
            yield
        finally:
            self._reactor.look_away(fd)
            self._half_closed.discard(newcomer)

    def _leaves(self, newcomer: Newcomer, half_closed: bool, flags: int) -> None:
        if half_closed and not flags & GONE and len(self._half_closed) < self._most:
            # Most of them have gone, which does not show; a place is for others, who may still be there.
            self._half_closed.add(newcomer)
            self._pending.pop(newcomer, None)
        else:
            newcomer.leave()
