"""One task for all pumps: it asks the poller which sockets are ready, and has their pumps move bytes.

As the reactor does for the clients that live here, and with the same poller. An error of our own costs the
connection on which it happened, and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from math import inf

import trio

from wsframe.doorbell import Doorbell
from wsframe.log import Log, log_for
from wsframe.net.poller import Poller, PollerChoice, make_poller
from wsframe.net.pump import AT_ONCE, UNWATCHED, Pump
from wsframe.user_code.errors import contain
from wsframe.user_code.protected_nursery import ProtectedNursery

__all__ = ["PumpLoop"]

logger: Log = log_for(__name__)

TURNS = 64
"""Pumps that have their turn before other tasks have theirs."""


class PumpLoop:
    """The pumps of one process.

    Args:
        choice: The poller.
    """

    def __init__(self, choice: PollerChoice = "auto") -> None:
        self._choice = choice
        self._poller: Poller | None = None
        self._by_fd: dict[int, tuple[Pump, bool]] = {}
        """The watched sockets: the pump of each, and whether it is the client's."""
        self._watched: dict[Pump, tuple[int, int]] = {}
        """All pumps, with the events that their sockets are watched for."""
        self._fds: dict[Pump, tuple[int, int]] = {}
        self._ended: dict[Pump, Callable[[], object]] = {}
        self._timed: set[Pump] = set()
        self._timer = Doorbell()
        self._wakes_at = inf
        """When the next look at the time is due."""
        self._fewer = Doorbell()
        self._buffer = memoryview(bytearray(AT_ONCE))
        self.carried: int = 0
        """Pumps that there have been."""
        self.moved_before: int = 0
        """Bytes read by pumps that are over."""

    def __len__(self) -> int:
        """The number of pumps."""
        return len(self._watched)

    def pumps(self) -> Iterable[Pump]:
        """Return the pumps of now."""
        return tuple(self._watched)

    @property
    def held(self) -> int:
        """Bytes that the pumps hold."""
        return sum(pump.held for pump in self._watched)

    @property
    def moved(self) -> int:
        """Bytes that pumps have read, in both directions."""
        return self.moved_before + sum(pump.moved for pump in self._watched)

    def adopt(self, pump: Pump, ended: Callable[[], object] | None = None) -> None:
        """Carry a connection from now on.

        Args:
            pump: The pump, which no loop has yet.
            ended: Called when it is over.
        """
        assert self._poller is not None, "the loop runs"
        self.carried += 1
        if ended is not None:
            self._ended[pump] = ended
        self._fds[pump] = pump.client_fd, pump.owner_fd
        self._watched[pump] = UNWATCHED, UNWATCHED
        self._turn(pump, 0, 0)

    def leave(self, pump: Pump, last: bytes) -> None:
        """End a connection in order, from here."""
        if pump in self._watched:
            self._contained(pump, partial(pump.leave, last))

    def abort(self, pump: Pump, reason: str) -> None:
        """Reset a connection."""
        if pump in self._watched:
            pump.abort(reason)
            self._note(pump)

    async def until_empty(self) -> None:
        """Wait until there is no pump."""
        while self._watched:
            await self._fewer.wait()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry until cancelled; then every connection is reset."""
        async with ProtectedNursery() as nursery:
            self._poller = make_poller(self._choice, nursery.nursery)
            try:
                nursery.start_soon(self._keep_time, again=True)
                nursery.start_soon(self._carry, again=True)
                task_status.started()
                await trio.sleep_forever()
            finally:
                for pump in self.pumps():
                    self.abort(pump, "server stopped")
                self._poller.close()
                self._poller = None

    async def _carry(self) -> None:
        while (poller := self._poller) is not None:
            await poller.wait()
            await self._take_turns()

    async def _take_turns(self) -> None:
        assert self._poller is not None
        ready = [(fd, events, self._by_fd.get(fd)) for fd, events in self._poller.poll()]
        for count, (fd, events, found) in enumerate(ready, 1):
            if found is None or self._by_fd.get(fd) is not found:  # the poller's own, or closed in the meantime
                continue
            pump, is_client = found
            self._turn(pump, *((events, 0) if is_client else (0, events)))
            if count % TURNS == 0:
                await trio.lowlevel.checkpoint()

    def _turn(self, pump: Pump, of_client: int, of_owner: int) -> None:
        self._contained(pump, partial(pump.turn, self._buffer, of_client, of_owner))

    def _contained(self, pump: Pump, step: Callable[[], object]) -> None:
        """Have a pump take a step; an error of our own costs its connection."""
        try:
            step()
        except BaseException as error:
            contain(error)
            logger.error("a pump failed", exc_info=error)
            pump.abort("internal error")
        self._note(pump)

    def _note(self, pump: Pump) -> None:
        """Watch the sockets of a pump for the events that it waits for now."""
        assert self._poller is not None
        if pump.over:
            self._forget(pump)
            return
        before, wanted = self._watched[pump], pump.wanted
        if before != wanted:
            self._watched[pump] = wanted
            for fd, old, new in zip(self._fds[pump], before, wanted, strict=True):
                if old != new:
                    self._watch(pump, fd, new)
        if pump.due < inf:
            self._timed.add(pump)
            if pump.due < self._wakes_at:
                self._timer.ring()
        else:
            self._timed.discard(pump)

    def _watch(self, pump: Pump, fd: int, mask: int) -> None:
        assert self._poller is not None
        if mask == UNWATCHED:
            self._poller.forget(fd)
            del self._by_fd[fd]
        else:
            if fd not in self._by_fd:
                self._by_fd[fd] = pump, fd == self._fds[pump][0]
            self._poller.watch(fd, mask)

    def _forget_sockets(self, pump: Pump) -> None:
        """Take the sockets of a pump out of the poller, which has to be before they are closed."""
        for fd, mask in zip(self._fds[pump], self._watched[pump], strict=True):
            if mask != UNWATCHED:
                self._watch(pump, fd, UNWATCHED)
        self._watched[pump] = UNWATCHED, UNWATCHED

    def _forget(self, pump: Pump) -> None:
        self._forget_sockets(pump)
        pump.close()
        del self._watched[pump]
        del self._fds[pump]
        self._timed.discard(pump)
        self.moved_before += pump.moved
        self._fewer.ring()
        ended = self._ended.pop(pump, None)
        if ended is not None:
            ended()

    async def _keep_time(self) -> None:
        """Have pumps look at the time when they are due."""
        while True:
            self._wakes_at = due = min((pump.due for pump in self._timed), default=inf)
            with trio.move_on_at(due):
                await self._timer.wait()
            if trio.current_time() < due:
                continue
            await self._take_turns()  # after a hook that blocked, first of all the bytes that have come in the meantime
            now = trio.current_time()
            for pump in [one for one in self._timed if one.due <= now]:
                self._contained(pump, pump.check)
