"""Counting the members of a resource, so that it can end after the last of them."""

from __future__ import annotations

from math import inf

import trio

from wsframe.doorbell import Doorbell

__all__ = ["Members"]


class Members:
    """The number of members: new clients after the path check, and clients whose ``disconnected`` has not run."""

    __slots__ = ("_emptied", "count", "empty_since")

    def __init__(self) -> None:
        self.count: int = 0
        self._emptied: Doorbell | None = None  # of factories whose resources linger; no other waits for it
        self.empty_since: float = -inf
        """The time at which the last client had gone; ``inf`` while there is one, ``-inf`` before the first."""

    def join(self) -> None:
        """Count one more."""
        self.count += 1

    def leave(self) -> None:
        """Count one less."""
        self.count -= 1
        if not self.count:
            self.empty_since = min(self.empty_since, trio.current_time())  # one that was refused does not count
            if self._emptied is not None:
                self._emptied.ring()

    async def gone_for(self, seconds: float) -> None:
        """Wait until the resource has had no member for that many seconds."""
        while True:
            if self.count:
                self._emptied = self._emptied or Doorbell()
                await self._emptied.wait()
            elif trio.current_time() < self.empty_since + seconds:
                await trio.sleep_until(self.empty_since + seconds)
            else:
                return
