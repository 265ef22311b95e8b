"""Newcomers whose peers go while user code decides about them: their tasks are cancelled."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from functools import partial

from wsframe.connection.reactor import Reactor
from wsframe.net.poller import GONE
from wsframe.server.newcomer import Newcomer

__all__ = ["Lookout"]


class Lookout:
    """Watches for the end of peers that wait for an answer.

    Args:
        reactor: Its poller reports the end.
        pending: The newcomers that count as under way.
        most: The number of peers that have shut their side and can wait for an answer without counting there.
    """

    def __init__(self, reactor: Reactor, pending: MutableMapping[Newcomer, None], most: int) -> None:
        self._reactor = reactor
        self._pending = pending
        self._most = most
        self._half_closed: set[Newcomer] = set()

    @contextmanager
    def over(self, newcomer: Newcomer, *, half_closed: bool = False) -> Iterator[None]:
        """Cancel a newcomer if its peer goes before the body is left.

        Args:
            newcomer: The newcomer.
            half_closed: Whether the peer can shut its side and wait for the answer, as plain HTTP allows.
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
            # Most of them have gone, which does not show; their places are for peers that may still be there.
            self._half_closed.add(newcomer)
            self._pending.pop(newcomer, None)
        else:
            newcomer.leave()
