"""The connections that this process carries to processes where they live: their pumps, their number, their end.

They are those whose TLS this worker decrypts for another one (``forwarding``), and those of other machines
(``splice``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import trio

from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, filled
from wsframe.net.pump import Pump
from wsframe.net.pump_loop import PumpLoop
from wsframe.net.socket_options import keep_alive
from wsframe.net.sockets import Endpoint, notify_closing
from wsframe.protocol.close import close_frame
from wsframe.protocol.frame_boundary import FrameBoundary
from wsframe.server.departure import depart
from wsframe.server.newcomers.newcomer import Newcomer
from wsframe.server.options import ServeOptions

__all__ = ["Carried"]

STAY = 1.0
"""Seconds for which a connection stays that has just opened: its client can have its first answer."""
LOOK = 0.02


class Carried:
    """The connections that one server carries.

    Args:
        options: The options of the server.
    """

    def __init__(self, options: ServeOptions) -> None:
        self._limits = filled(options.limits, DEFAULT_LIMITS)
        self._timeouts = filled(options.timeouts, DEFAULT_TIMEOUTS)
        capacity = options.capacity
        self._most = None if capacity.max_clients is None else capacity.max_clients + capacity.max_pending_handshakes
        self._boundaries: dict[Pump, FrameBoundary] = {}
        self._beyond: set[Pump] = set()
        self.loop: PumpLoop = PumpLoop(options.poller)
        self.departing: bool = False
        """Whether those to other machines end, and no more can begin."""

    @property
    def full(self) -> bool:
        """Whether there is no room for another one."""
        return self._most is not None and len(self.loop) >= self._most

    def carry(
        self,
        newcomer: Newcomer,
        owner: Endpoint,
        early: bytes,
        ended: Callable[[Pump], object] | None = None,
        *,
        beyond: bool = False,
    ) -> Pump:
        """Carry a newcomer from now on.

        Args:
            newcomer: The newcomer; its transport belongs to the pump.
            owner: The socket to the process where it lives.
            early: The bytes that come before those in the newcomer's socket.
            ended: Called when it is over.
            beyond: Whether its owner is on another machine, and does not drain with this server.
        """
        transport, timeouts = newcomer.transport, self._timeouts
        transport.tune(self._limits.unsent_in_kernel, timeouts.write_stall)
        notify_closing(newcomer.sock)
        keep_alive(newcomer.sock, timeouts.ping_interval, timeouts.ping_timeout)
        boundary = FrameBoundary(trio.current_time)
        pump = Pump(
            transport, owner, early, write_stall=timeouts.write_stall, clock=trio.current_time, seen=boundary.follow
        )
        self._boundaries[pump] = boundary
        if beyond:
            self._beyond.add(pump)
        newcomer.handed_over = True

        def over() -> None:
            del self._boundaries[pump]
            self._beyond.discard(pump)
            if ended is not None:
                ended(pump)

        self.loop.adopt(pump, over)
        return pump

    def send_away(self, pumps: Collection[Pump], code: int, reason: str) -> None:
        """End connections from here.

        The close frame goes out where a frame can follow. Where none can, a reset says that the connection has not
        ended in order.
        """
        for pump in pumps:
            boundary = self._boundaries.get(pump)
            if boundary is None:
                continue
            if boundary.here:
                self.loop.leave(pump, close_frame(code, reason))
            elif boundary.closed:
                self.loop.leave(pump, b"")
            else:
                self.loop.abort(pump, reason)

    async def depart(self, seconds: float, code: int, reason: str, *, all_of_them: bool = False) -> None:
        """End connections, many of them in batches over some seconds, each with its close frame.

        One that no close frame can reach yet, such as a newcomer or a page, is waited for.

        Args:
            seconds: The time until the last one has it.
            code, reason: The content of the close frames.
            all_of_them: Whether those of workers of this service end too, which do not drain with this one.
        """
        self.departing = True
        until = trio.current_time() + seconds
        late: list[Pump] = []

        def leave(pumps: Collection[Pump]) -> None:
            can_leave = {pump: self._can_leave(pump) for pump in pumps}
            late.extend(pump for pump, now in can_leave.items() if not now)
            self.send_away([pump for pump, now in can_leave.items() if now], code, reason)

        going = self.loop.pumps() if all_of_them else tuple(self._beyond)
        await depart([[pump] for pump in going], seconds, leave, self._boundaries.__contains__)
        while late and trio.current_time() < until:
            await trio.sleep(LOOK)
            again = list(late)
            late.clear()
            leave(again)
        self.send_away(late, code, reason)

    def _can_leave(self, pump: Pump) -> bool:
        """Return whether a connection can end now: its client has had its answer, and a close frame can reach it."""
        boundary = self._boundaries.get(pump)
        if boundary is None or boundary.closed:
            return True
        return boundary.here and trio.current_time() >= boundary.opened_at + STAY

    async def finish(self, patience: float, code: int, reason: str) -> None:
        """Wait until all connections have ended, and end those that last longer.

        Args:
            patience: Seconds for their owners to end them.
            code, reason: The content of the close frames for the others.
        """
        with trio.move_on_after(patience):
            await self.loop.until_empty()
        self.send_away(tuple(self.loop.pumps()), code, reason)
        await self.loop.until_empty()
