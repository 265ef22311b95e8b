"""Faults of real servers, and the account that numbered messages give of them.

One program publishes numbers, a node counts them. A hole in the numbers is right if its gap was told before the
message behind it.
"""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from wsframe.backplane.boottime import boottime
from wsframe.backplane.interface import Backplane, Position

__all__ = ["Account", "Stream", "memory", "stream"]

TOPIC = "numbers"
EVERY = 0.005
"""Seconds between two messages."""


@dataclass
class Account:
    """The account of a node: numbers, holes and reports. It implements ``Told``."""

    received: int = 0
    holes: int = 0
    missing: int = 0
    untold: list[tuple[int, int]] = field(default_factory=list)
    """Holes without a gap before the message behind them."""
    gaps: int = 0
    twice: int = 0
    wanted_topics: int = 0
    down_at: float = 0.0
    up_at: float = 0.0
    last: int = -1
    _gap: bool = False
    changed: trio.Event = field(default_factory=trio.Event)

    def message(self, topic: str, payload: bytes, sender: str, position: Position | None) -> None:
        number = int(payload)
        self.received += 1
        if number <= self.last:
            self.twice += 1
        elif self.last >= 0 and number > self.last + 1:
            self.holes += 1
            self.missing += number - self.last - 1
            if not self._gap:
                self.untold.append((self.last, number))
        self.last, self._gap = max(number, self.last), False
        self._note()

    def wanted(self, topic: str, position: Position | None) -> None:
        self.wanted_topics += 1
        self._note()

    def gap(self, topic: str | None) -> None:
        self.gaps += 1
        self._gap = True
        self._note()

    def reach(self, up: bool) -> None:
        if up:
            self.up_at = boottime()
        else:
            self.down_at = boottime()
        self._note()

    def _note(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds."""
        while not condition():
            await self.changed.wait()


@dataclass
class Stream:
    """A publisher of numbers and the node that counts them."""

    publisher: Backplane
    node: Backplane
    account: Account
    other: Account
    published: int = 0
    longest_call: float = 0.0

    async def publish(self) -> None:
        """Publish numbers until cancelled; those that are refused count as well."""
        while True:
            began = boottime()
            self.publisher.publish(TOPIC, b"%d" % self.published)
            self.longest_call = max(self.longest_call, boottime() - began)
            self.published += 1
            await trio.sleep(EVERY)

    async def flows(self, count: int = 20) -> None:
        """Wait until so many more messages have come."""
        before = self.account.received
        await self.account.until(lambda: self.account.received >= before + count)


@asynccontextmanager
async def stream(
    make: Callable[[], Backplane], topics: int = 0, make_node: Callable[[], Backplane] | None = None
) -> AsyncIterator[Stream]:
    """Run a publisher and a node, which perhaps has another backplane; it also wants so many other topics."""
    async with trio.open_nursery() as nursery:
        made = Stream(make(), (make_node or make)(), Account(), Account())
        made.node.want([TOPIC, *(f"room:{number}" for number in range(topics))])
        await nursery.start(made.publisher.run, "publisher", made.other)
        await nursery.start(made.node.run, "node", made.account)
        nursery.start_soon(made.publish)
        await made.flows()
        yield made
        nursery.cancel_scope.cancel()


def memory() -> int:
    """Return the bytes that this process holds in memory."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0
