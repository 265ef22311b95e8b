"""The topics whose messages this server gets from the backplane: those with subscribers, and wsframe's own."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from math import inf
from secrets import token_hex

import trio

from wsframe.backplane.interface import Backplane, History
from wsframe.backplane.memory import MemoryBackplane, MemoryHub
from wsframe.doorbell import Doorbell
from wsframe.log import Log, log_for
from wsframe.resources.topics.topic import Topic

__all__ = ["LINGER", "Interest"]

logger: Log = log_for(__name__)

LINGER = 30.0
"""Seconds for which messages of a topic still come after its last subscriber has left."""


class InternalTopic:
    """A topic of wsframe's own."""

    def __init__(self, take: Callable[[bytes], None] | None) -> None:
        self.take = take
        self.reached: trio.Event = trio.Event()


class Interest:
    """The topics that one server wants from a backplane.

    Args:
        backplane: The link to the other servers; None if there are none.
        node: The name of this server among them; None makes one.
    """

    holes: trio.MemoryReceiveChannel[Topic]

    def __init__(self, backplane: Backplane | None, node: str | None = None) -> None:
        self.node: str = node or f"{socket.gethostname()}/{os.getpid()}/{token_hex(4)}"
        """The name of this server among those of the service."""
        self.others: Backplane | None = backplane
        self.topics: dict[str, Topic] = {}
        """Those with subscribers or receivers, or which had them a moment ago."""
        self._heard: dict[str, InternalTopic] = {}
        self._deserted: dict[str, float] = {}
        """Topics that nobody uses and that are still wanted, and since when."""
        self._engine: Backplane | None = backplane
        self._started = Doorbell()
        self._put_hole, self.holes = trio.open_memory_channel[Topic](inf)
        """The topics of which messages are missing, each at most once."""

    def engine(self) -> Backplane:
        """Return the backplane; a server without one has one of its own from now on, for history and presence."""
        if self._engine is None:
            self._engine = plane = MemoryBackplane(MemoryHub())
            plane.attach(self.node)
            plane.want(tuple(self.topics))
            self._started.ring()
        return self._engine

    def keep(self, topic: str, payload: bytes, history: History) -> bool:
        """Publish a message with history, which comes to this server too; return whether the engine takes it."""
        taken = self.engine().publish(topic, payload, keep=history)
        if not taken:
            logger.warning("a message of %s is lost: the backplane cannot take it", repr(topic), kind="lost")
        return taken

    async def needed(self) -> Backplane:
        """Return the backplane once there is one."""
        if self._engine is None:
            await self._started.wait()
        return self.engine()

    def use(self, name: str) -> Topic:
        """Return a topic that is wanted from now on."""
        topic = self.topics.get(name)
        if topic is None:
            topic = self.topics[name] = Topic(name, self._put_hole.send_nowait)
            if name not in self._heard:
                self._want(name)
        else:
            self._deserted.pop(name, None)
        return topic

    def desert(self, topic: Topic) -> None:
        """Let go of a topic, if nobody uses it: at once, or after a while if it comes from the backplane."""
        if topic.is_used or topic.name in self._heard or topic.name in self._deserted:
            return
        if self._engine is None:
            del self.topics[topic.name]
        else:
            self._deserted[topic.name] = trio.current_time()

    def _want(self, name: str) -> None:
        if self._engine is not None and self._deserted.pop(name, None) is None:
            self._engine.want([name])

    async def let_go(self) -> None:
        """Want the topics no longer that nobody has used for a while."""
        while True:
            await trio.sleep(LINGER / 6)
            now = trio.current_time()
            gone = [name for name, since in self._deserted.items() if since + LINGER <= now]
            for name in gone:
                del self._deserted[name]
                self.topics.pop(name, None)
            if gone:
                self.engine().unwant(gone)

    # Topics of wsframe's own, whose messages come also while nobody is subscribed

    def hear(self, topic: str, take: Callable[[bytes], None] | None = None) -> trio.Event:
        """Want a topic until :meth:`unhear`.

        Args:
            topic: Its name, which no program can give.
            take: Takes its messages in the place of subscribers.

        Returns:
            Set once every later message arrives.
        """
        self._heard[topic] = heard = InternalTopic(take)
        if self.others is None:
            heard.reached.set()
        elif topic not in self.topics:
            self._want(topic)
        return heard.reached

    def unhear(self, topic: str) -> None:
        """Want a topic no longer, once nobody uses it."""
        if self._heard.pop(topic, None) is not None and self.others is not None:
            used = self.topics.get(topic)
            if used is None or not used.is_used:
                self._deserted[topic] = trio.current_time()

    def reached(self, topic: str) -> None:
        """Learn that every later message of a topic arrives."""
        if topic in self._heard:
            self._heard[topic].reached.set()

    def take(self, topic: str, payload: bytes) -> bool:
        """Hand over a message of a topic that is not for subscribers; return whether it is."""
        heard = self._heard.get(topic)
        if heard is None or heard.take is None:
            return False
        heard.take(payload)
        return True

    def tell(self, topic: str, payload: bytes) -> bool:
        """Send bytes to those on other servers that hear a topic; return whether they are queued."""
        return self.others is not None and self.others.publish(topic, payload)
