"""The order to drain, and its times: readiness fails, the lame duck passes, newcomers finish, clients leave.

The order can come from a signal, from ``close``, from the SystemExit of user code, from an error, or from the
cancellation of ``serve``. It is given once, and the first one decides the close code. A later one can bring the
drain forward, but not put it off. The times, with the defaults of ``lame_duck`` and ``drain``:

======================== ==============================================================================
At                       Event
======================== ==============================================================================
the order                ``asked``: ``readyz`` answers 503. Everything else goes on.
``lame_duck``, 0 s       ``begun``: nobody is accepted any more, and clients begin to leave.
a quarter of ``drain``   Newcomers without an answer are refused.
three quarters of it     The last clients get their close frame.
``drain``, 8 s           The rest is cut off.
======================== ==============================================================================
"""

from __future__ import annotations

import trio

from wsframe.limits import Timeouts

__all__ = ["Drain", "cancel_when"]

# Shares of ``timeouts.drain``: for newcomers on their way in, and until the last client is told.
FINISHING = 0.25
LEAVING = 0.75
# A client whose 101 went out during the drain stays for this share, and at most this many seconds, before it leaves:
# it has asked for something and can have its answer.
STAY = 0.125
LONGEST_STAY = 1.0


class Drain:
    """The order to drain one server.

    Args:
        timeouts: The server's, with no field at INHERIT.
        shield: The scope of all of the server's tasks; it ends when the drain has taken too long.
    """

    def __init__(self, timeouts: Timeouts, shield: trio.CancelScope) -> None:
        self._timeouts = timeouts
        self._shield = shield
        self._lame = trio.CancelScope()
        self.code: int = 1001
        """The close code for all clients."""
        self.asked: trio.Event = trio.Event()
        """Set when the server is to stop, and load balancers should send no newcomers any more."""
        self.begun: trio.Event = trio.Event()
        """Set when the server accepts nobody any more."""

    def ask(self, code: int = 1001, lame_duck: float | None = None) -> None:
        """Give the order.

        Args:
            code: The close code for all clients.
            lame_duck: Seconds for which everything goes on; None for those of the timeouts.
        """
        if not self.asked.is_set():
            self.asked.set()
            self.code = code
        wait = self._timeouts.lame_duck if lame_duck is None else lame_duck
        at = self._lame.deadline = min(self._lame.deadline, trio.current_time() + wait)
        self._shield.deadline = min(self._shield.deadline, at + self._timeouts.drain)
        if wait <= 0:
            self.begun.set()

    @property
    def longest(self) -> float:
        """The most seconds from the order to the end."""
        return self._timeouts.lame_duck + self._timeouts.drain

    @property
    def left(self) -> float:
        """Seconds until the drain begins, once the order has been given."""
        return max(0.0, self._lame.deadline - trio.current_time())

    @property
    def remaining(self) -> float:
        """Seconds until everything is cut off, once the order has been given."""
        return max(0.0, self._shield.deadline - trio.current_time())

    async def due(self) -> None:
        """Wait until the drain begins."""
        await self.asked.wait()
        with self._lame:
            await self.begun.wait()
        self.begun.set()

    def end(self) -> None:
        """Let everything that waits for the drain go on: the server has ended."""
        self.asked.set()
        self.begun.set()

    @property
    def finishing(self) -> float:
        """Seconds for newcomers on their way in."""
        return FINISHING * self._timeouts.drain

    @property
    def leaving(self) -> float:
        """Seconds until the last of many clients has its close frame."""
        return LEAVING * self._timeouts.drain

    @property
    def stay(self) -> float:
        """Seconds for which a client stays that got its 101 during the drain."""
        return min(STAY * self._timeouts.drain, LONGEST_STAY)


async def cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    """Cancel a scope once an event is set."""
    await event.wait()
    scope.cancel()
