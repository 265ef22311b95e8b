"""The messages that wait to be published on an engine, bounded in number and in bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

import trio

from wsframe.backplane.engines.engine import EnginePublication
from wsframe.backplane.engines.envelope import EVERY_TOPIC, KEPT, MARK, PLAIN, body, body_of
from wsframe.backplane.engines.numbering import MOST_TOPICS, Numbers
from wsframe.backplane.interface import History
from wsframe.backplane.queue import LIMIT, OVERHEAD
from wsframe.doorbell import Doorbell

__all__ = ["Publications"]

MOST = 20_000
"""Messages that wait."""
LARGEST = 16 << 20
"""Bytes of a message: a larger one ends the connection of each receiver, for Redis has room for 32 MiB, and on a slow
machine or network it lasts longer than a probe."""
BATCH, BATCH_BYTES = 256, 1 << 20
"""Messages of one batch, and the bytes beyond which it takes no more."""


class Publications:
    """A node's messages on their way, which outlive a connection.

    A message that has been refused, or that went out with a connection that broke, can be a hole at the other nodes.
    A mark with its number goes before the next message of the topic, and if none follows, it goes alone. A single mark
    stands for all topics where too many of them are in doubt.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._waiting: deque[EnginePublication] = deque()
        self._bytes = 0
        self._numbers = Numbers()
        self._in_doubt: dict[str, None] = {}
        self._all_in_doubt = False
        self._taken: Sequence[EnginePublication] = ()
        self._emptied = trio.Event()
        self.doorbell: Doorbell = Doorbell()

    @property
    def is_crowded(self) -> bool:
        """Whether half of the room is taken."""
        return 2 * len(self._waiting) >= MOST or 2 * self._bytes >= self._limit

    def put(self, node: str, topic: str, payload: bytes, keep: History | None, sender: str = "") -> bool:
        """Queue a message, of the node or of a sender that it stands for; return False if there is no room."""
        number = self._numbers.next(topic)
        size = len(topic) + len(payload) + OVERHEAD
        if len(self._waiting) >= MOST or (self._bytes and self._bytes + size > self._limit) or len(payload) > LARGEST:
            self._doubt(topic)
            return False
        if self._all_in_doubt:
            self._mark_everything(node)
        elif topic in self._in_doubt:
            del self._in_doubt[topic]
            self._add(mark_of(topic, node, number - 1))
        self._add(EnginePublication(topic, PLAIN if keep is None else KEPT, body(number, node, payload, sender), keep))
        return True

    def refuse(self, topic: str | None) -> None:
        """Count a message that cannot be published, such as while the engine is out of reach; None: of any topic."""
        if topic is not None:
            self._numbers.next(topic)
        self._doubt(topic)

    def take(self) -> Sequence[EnginePublication]:
        """Return a batch. It is in doubt until ``done`` is called."""
        batch: list[EnginePublication] = []
        size = 0
        while self._waiting and len(batch) < BATCH and size < BATCH_BYTES:
            one = self._waiting.popleft()
            self._bytes -= len(one.topic) + len(one.body) + OVERHEAD
            size += len(one.body)
            batch.append(one)
        self._taken = batch
        return batch

    def done(self) -> None:
        """Learn that the engine has the batch that was taken last."""
        self._taken = ()
        if not self._waiting:
            self._emptied.set()

    async def sent(self) -> None:
        """Wait until the engine has all."""
        while self._waiting or self._taken:
            if self._emptied.is_set():
                self._emptied = trio.Event()
            await self._emptied.wait()

    def renew(self, node: str) -> None:
        """Go on with another connection: it sends first the marks of messages that may be lost."""
        self.refused(node)
        self._mark_all(node)

    def refused(self, node: str) -> None:
        """Learn that the engine may lack some of the batch that was taken last: the marks of all of it go first."""
        in_doubt = {one.topic: body_of(one.body)[0] for one in self._taken}
        self._taken = ()
        for topic, number in in_doubt.items():
            self._add(mark_of(topic, node, number), first=True)

    def mark(self, node: str) -> None:
        """Mark the topics of messages that had to be refused, once there is room."""
        if (self._in_doubt or self._all_in_doubt) and not self._waiting:
            self._mark_all(node)

    def _mark_all(self, node: str) -> None:
        """Mark topics in doubt while there is room; the others follow later."""
        if self._all_in_doubt:
            self._mark_everything(node)
        for topic in tuple(islice(self._in_doubt, max(0, MOST - len(self._waiting)))):
            del self._in_doubt[topic]
            self._add(mark_of(topic, node, self._numbers.last(topic)))

    def _mark_everything(self, node: str) -> None:
        self._all_in_doubt = False
        self._add(mark_of(EVERY_TOPIC, node, self._numbers.next(EVERY_TOPIC)))

    def _doubt(self, topic: str | None) -> None:
        if topic is None or len(self._in_doubt) >= MOST_TOPICS:
            self._all_in_doubt = True
            self._in_doubt.clear()
        elif not self._all_in_doubt:
            self._in_doubt[topic] = None

    def _add(self, one: EnginePublication, *, first: bool = False) -> None:
        if first:
            self._waiting.appendleft(one)
        else:
            self._waiting.append(one)
        self._bytes += len(one.topic) + len(one.body) + OVERHEAD
        self.doorbell.ring()


def mark_of(topic: str, node: str, number: int) -> EnginePublication:
    """Make the mark that names the number of the last message that may be lost."""
    return EnginePublication(topic, MARK, body(number, node, b""), None)
