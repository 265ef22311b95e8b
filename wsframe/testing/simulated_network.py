"""Streams between simulated processes: bytes take their time, and links are cut and stalled.

A stream here behaves as a unix stream between two processes. Bytes arrive in order. At the end of a
node's process the bytes that it has written still arrive at the relay; a link that is cut loses the bytes on their way.
"""

from __future__ import annotations

from collections import deque
from math import inf
from random import Random

import trio

from wsframe.doorbell import Doorbell

__all__ = ["Pipe", "SimulatedLink"]

ROOM = 64 << 10
"""Bytes on their way in one direction; a sender waits beyond them, as for a kernel's buffer."""
LONGEST_DELAY = 0.02
"""Seconds that bytes are on their way at most."""


class Pipe:
    """One direction of a link."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._due = 0.0
        self._stalled_until = 0.0
        self.ended: bool = False
        """No bytes come after those that wait."""
        self.broken: bool = False
        """The bytes that wait are gone, and nobody can send or receive."""
        self.doorbell: Doorbell = Doorbell()
        self._room = Doorbell()

    def stall(self, until: float) -> None:
        """Deliver nothing until then."""
        self._stalled_until = max(self._stalled_until, until)

    def end(self) -> None:
        """Have the receiver see the end after the bytes that wait."""
        self.ended = True
        self.wake()

    def break_off(self) -> None:
        """Lose the bytes that wait."""
        self.broken = True
        self._waiting.clear()
        self.wake()

    def wake(self) -> None:
        self.doorbell.ring()
        self._room.ring()

    async def send(self, data: bytes) -> None:
        """Put bytes on their way."""
        await trio.lowlevel.checkpoint()
        while self._bytes >= ROOM and not (self.broken or self.ended):
            await self._room.wait()
        if self.broken or self.ended:
            raise trio.BrokenResourceError("the simulated link is cut")
        self._due = max(self._due, trio.current_time() + self._random.uniform(0, LONGEST_DELAY))
        self._waiting.append((self._due, data))
        self._bytes += len(data)
        self.doorbell.ring()

    async def receive(self, most: int) -> bytes:
        """Return the bytes that have arrived; ``b""`` at the end."""
        await trio.lowlevel.checkpoint()
        while True:
            if self.broken:
                raise trio.BrokenResourceError("the simulated link is cut")
            due = max(self._waiting[0][0], self._stalled_until) if self._waiting else inf
            if due <= trio.current_time():
                return self._take(most)
            if self.ended and not self._waiting:
                return b""
            with trio.move_on_at(due):
                await self.doorbell.wait()

    def _take(self, most: int) -> bytes:
        due, data = self._waiting.popleft()
        if len(data) > most:
            self._waiting.appendleft((due, data[most:]))
            data = data[:most]
        self._bytes -= len(data)
        self._room.ring()
        return data


class SimulatedStream(trio.abc.Stream):
    """One end of a link."""

    def __init__(self, incoming: Pipe, outgoing: Pipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._outgoing.send(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await self._incoming.receive(max_bytes or ROOM)

    async def aclose(self) -> None:
        self._outgoing.end()
        self._incoming.break_off()
        await trio.lowlevel.checkpoint()


class SimulatedLink:
    """A stream between a node and the relay."""

    def __init__(self, random: Random) -> None:
        self._up, self._down = Pipe(random), Pipe(random)
        self.node: trio.abc.Stream = SimulatedStream(self._down, self._up)
        self.relay: trio.abc.Stream = SimulatedStream(self._up, self._down)

    @property
    def broken(self) -> bool:
        """Whether it carries nothing any more."""
        return self._down.broken or self._up.ended

    def end(self) -> None:
        """Break it off, as the end of the node's process does."""
        self._up.end()
        self._down.break_off()

    def cut(self) -> None:
        """Break it off, as the end of the relay's process does: bytes on their way are gone in both directions."""
        self._up.break_off()
        self._down.break_off()

    def stall(self, until: float) -> None:
        """Deliver nothing until then, in either direction."""
        for pipe in (self._up, self._down):
            pipe.stall(until)
            pipe.wake()
