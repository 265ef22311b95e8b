"""The newcomers on their way in: a bounded number is under way at a time, and the rest wait in order.

A newcomer is *under way* from its accept to its answer. While ``most`` are, the server accepts no more. One that waits
for a life of its resource or for another process is not under way in the meantime, so that it never keeps out
newcomers of other resources; it holds a place of the server, which bounds their number. Afterwards it is under way
again as soon as there is room, those that came back first before others, and all of them before newcomers that have not
been accepted yet: they have come later.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from wsframe.doorbell import Doorbell
from wsframe.server.newcomers.newcomer import Newcomer

__all__ = ["Pending"]

# Seconds that a newcomer has for its request while others wait for its place.
PATIENCE = 1.0


class Pending:
    """The newcomers of one server.

    Args:
        most: How many can be under way at a time.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.under_way: dict[Newcomer, None] = {}
        """The newcomers under way, in the order in which they arrived or came back."""
        self.away: dict[Newcomer, None] = {}
        """The newcomers that wait for something else, and have a place."""
        self._back: dict[Newcomer, trio.Event] = {}
        """Newcomers of these that wait for room."""
        self._fewer = Doorbell()
        self.rooms: list[Doorbell] = []
        """Rung when there is room for newcomers again, for the tasks that accept."""

    def has_room(self) -> bool:
        """Return whether the server can take on another newcomer."""
        return len(self.under_way) < self.most

    def make_room(self) -> None:
        """Refuse the newcomers that take too long over their requests.

        Honest ones are in within milliseconds. It refuses all slow ones in one step, because many more can follow.
        """
        late = trio.current_time() - PATIENCE
        for newcomer in self.under_way:
            if newcomer.since < late and not newcomer.head_received:
                newcomer.scope.cancel()

    def decided(self, newcomer: Newcomer) -> None:
        """Note that a newcomer is not under way any more; the first that waits for room takes its place."""
        self.under_way.pop(newcomer, None)
        self._fewer.ring()
        while self._back and self.has_room():
            first, turn = next(iter(self._back.items()))
            del self._back[first]
            self.under_way[first] = None
            turn.set()
        for room in self.rooms:
            room.ring()

    async def fewer(self) -> None:
        """Wait until one is not under way any more, or has come back."""
        await self._fewer.wait()

    def all(self) -> list[Newcomer]:
        """Return all that have no answer yet."""
        return list(self.under_way | self.away)

    def leave(self, newcomer: Newcomer) -> None:
        """Have a newcomer wait for something else; its owner removes it from those that are away."""
        self.away[newcomer] = None
        self.decided(newcomer)

    @asynccontextmanager
    async def aside(self, newcomer: Newcomer) -> AsyncIterator[None]:
        """Have a newcomer not be under way in the body; afterwards it waits for room.

        After an error it is not under way again: only its answer is left, which counts elsewhere.
        """
        self.leave(newcomer)
        try:
            yield
            if newcomer.handed_over:  # a pump has it: nothing is left to decide
                pass
            elif self._back or not self.has_room():
                turn = self._back[newcomer] = trio.Event()
                await turn.wait()
            else:
                self.under_way[newcomer] = None
        finally:
            self._back.pop(newcomer, None)
            del self.away[newcomer]
