"""Counts the seats that are taken in a life, so that it can end when the last of them is free."""

from __future__ import annotations

from math import inf

import trio

from wsframe.doorbell import Doorbell

__all__ = ["Seats"]


class Seats:
    """The seats of newcomers after the path check, and of clients whose ``disconnected`` has not run."""

    __slots__ = ("_emptied", "count", "empty_since")

    def __init__(self) -> None:
        self.count: int = 0
        self._emptied: Doorbell | None = None  # of factories whose resources linger; no other waits for it
        self.empty_since: float = -inf
        """The time at which the last client had gone; ``inf`` while there is one, ``-inf`` before the first."""

    def take(self) -> None:
        """Take one."""
        self.count += 1

    def free(self) -> None:
        """Free one."""
        self.count -= 1
        if not self.count:
            self.empty_since = min(self.empty_since, trio.current_time())  # one that was refused does not count
            if self._emptied is not None:
                self._emptied.ring()

    async def free_for(self, seconds: float) -> None:
        """Wait until no seat has been taken for that many seconds."""
        while True:
            if self.count:
                self._emptied = self._emptied or Doorbell()
                await self._emptied.wait()
            elif trio.current_time() < self.empty_since + seconds:
                await trio.sleep_until(self.empty_since + seconds)
            else:
                return
