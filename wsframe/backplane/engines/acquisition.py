"""A request for leases whose answer is never lost: leases that nobody waits for any more are given back.

A process that was stopped, or is about to end, gives a request up while the engine grants it. Nobody would act by
these leases, and no other node could have them before their end.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from wsframe.backplane.engines.engine import EngineLink
from wsframe.doorbell import Signal

__all__ = ["Acquisition"]


class Acquisition:
    """One request.

    Args:
        node: The node that is to hold the keys.
        keys: The keys.
        seconds: The length of the leases.
    """

    def __init__(self, node: str, keys: Sequence[str], seconds: float) -> None:
        self._node = node
        self._keys = keys
        self._seconds = seconds
        self._answered = Signal()
        self._given_up = False

    async def run(self, link: EngineLink) -> None:
        """Ask the engine, in a task that goes on when the caller has given up."""
        answer: list[int | str] | Exception
        try:
            answer = await link.acquire(self._node, self._keys, self._seconds)
        except trio.Cancelled:  # the connection has ended
            self._answered.fire([""] * len(self._keys))
            raise
        except Exception as error:  # of the client library: the caller reports it
            answer = error
        self._answered.fire(answer)
        if self._given_up and isinstance(answer, list):
            granted = [(key, one) for key, one in zip(self._keys, answer, strict=True) if isinstance(one, int)]
            if granted:
                await link.release(granted)

    async def answer(self) -> list[int | str]:
        """Wait for the answer.

        Raises:
            Exception: Whatever the link raises.
        """
        try:
            answer = await self._answered.wait()
        except BaseException:
            self._given_up = True
            raise
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, list)
        return answer
