"""The numbers by which nodes see holes: each node numbers its messages of each topic."""

from __future__ import annotations

__all__ = ["MOST_SENDERS", "MOST_TOPICS", "LastSeen", "Numbers"]

MOST_TOPICS = 100_000
"""Topics whose last number a publisher remembers."""
MOST_SENDERS = 256
"""Nodes whose last number is remembered for a topic: restarts make new ones."""


class Numbers:
    """The last numbers of a publisher. They grow by one for each message, lost ones included."""

    def __init__(self, most: int = MOST_TOPICS) -> None:
        self._most = most
        self._last: dict[str, int] = {}
        self._floor = 0

    def next(self, topic: str) -> int:
        """Return the number of a topic's next message."""
        number = self._last.get(topic, self._floor) + 1
        if topic not in self._last and len(self._last) >= self._most:
            # A forgotten topic goes on above all numbers ever used: receivers see a hole too many, never one too few.
            self._floor = number = max(self._last.values()) + 2
            self._last.clear()
        self._last[topic] = number
        return number

    def last(self, topic: str) -> int:
        """Return the number of a topic's last message."""
        return self._last.get(topic, self._floor)


class LastSeen:
    """The last numbers that a receiver has seen."""

    def __init__(self) -> None:
        self._last: dict[str, dict[str, int]] = {}

    def hole_before(self, topic: str, sender: str, number: int, *, mark: bool = False) -> bool:
        """Note a number; return whether messages are missing. The message of a mark can be missing itself."""
        senders = self._last.get(topic)
        if senders is None:
            senders = self._last[topic] = {}
        last = senders.get(sender)
        if last is None and len(senders) >= MOST_SENDERS:
            senders.clear()
        senders[sender] = number
        if mark:
            return number > (last or 0)
        return last is not None and number > last + 1

    def forget(self, topic: str) -> None:
        """Forget a topic that is not wanted any more."""
        self._last.pop(topic, None)

    def clear(self) -> None:
        """Forget all numbers, because a gap of all topics is reported."""
        self._last.clear()
