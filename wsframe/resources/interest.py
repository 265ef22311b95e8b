"""The topics whose messages this server gets from the others: those with subscribers, and wsframe's own."""

from __future__ import annotations

from collections.abc import Callable

import trio

from wsframe.backplane.interface import Backplane

__all__ = ["LINGER", "Interest"]

LINGER = 30.0
"""Seconds for which messages of a topic still come after its last subscriber has left."""


class Heard:
    """A topic of wsframe's own."""

    def __init__(self, take: Callable[[bytes], None] | None) -> None:
        self.take = take
        self.reached: trio.Event = trio.Event()


class Interest:
    """The topics that one server wants from a backplane.

    Args:
        backplane: The link to the other servers; None if there are none.
    """

    def __init__(self, backplane: Backplane | None) -> None:
        self._backplane = backplane
        self._heard: dict[str, Heard] = {}
        self._deserted: dict[str, float] = {}
        """Topics without a subscriber that are still wanted, and since when."""

    def subscribed(self, topic: str) -> None:
        """Want a topic, which has its first subscriber."""
        if topic not in self._heard:
            self._want(topic)

    def deserted(self, topic: str) -> None:
        """Want a topic, which has lost its last subscriber, for a while longer."""
        if topic not in self._heard and self._backplane is not None:
            self._deserted[topic] = trio.current_time()

    def _want(self, topic: str) -> None:
        if self._backplane is not None and self._deserted.pop(topic, None) is None:
            self._backplane.want([topic])

    async def let_go(self, backplane: Backplane) -> None:
        """Want the topics no longer that have had no subscriber for a while."""
        while True:
            await trio.sleep(LINGER / 6)
            now = trio.current_time()
            gone = [topic for topic, since in self._deserted.items() if since + LINGER <= now]
            for topic in gone:
                del self._deserted[topic]
            if gone:
                backplane.unwant(gone)

    # Topics of wsframe's own, whose messages come also while nobody is subscribed

    def hear(self, topic: str, take: Callable[[bytes], None] | None = None) -> trio.Event:
        """Want a topic until :meth:`unhear`.

        Args:
            topic: Its name, which no program can give.
            take: Takes its messages in the place of subscribers.

        Returns:
            Set once every later message arrives.
        """
        self._heard[topic] = heard = Heard(take)
        self._want(topic)
        if self._backplane is None:
            heard.reached.set()
        return heard.reached

    def unhear(self, topic: str) -> None:
        """Want a topic no longer, once it has no subscriber."""
        if self._heard.pop(topic, None) is not None:
            self.deserted(topic)

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
        return self._backplane is not None and self._backplane.publish(topic, payload)
