"""The end of one topic as one node has it: which message is next, and which ones wait.

A tail passes messages on in order. Kept messages have positions, so it sees a hole before the message after it: it
then holds the topic, has its owner ask the engine for all that is missing, and goes on. Where the
engine cannot give all of it, or the topic has no history, the owner reports the hole to the clients that must know,
and only then do the messages after it pass.

* *open*: messages pass.
* *asking*: messages wait for the answer of the engine.
* *telling*: messages wait until the hole is known.

Nothing in here waits or asks a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Generic, TypeVar

from wsframe.backplane.interface import Position

__all__ = ["MOST_BYTES_HELD", "MOST_HELD", "Tail", "TailState"]

MOST_HELD = 1_000
"""Messages that wait; those beyond them are another hole."""
MOST_BYTES_HELD = 8 << 20
"""Bytes of messages that wait."""

MessageT = TypeVar("MessageT")


class TailState(Enum):
    """Whether a tail passes messages on; see the module."""

    OPEN = "open"
    ASKING = "asking"
    TELLING = "telling"


OPEN = TailState.OPEN  # an attribute of an enumeration is slow to read


class Tail(Generic[MessageT]):
    """The end of one topic.

    Args:
        pass_on: Takes each message that is next.
        ask: Called when messages are missing: the owner then calls :meth:`filled` or :meth:`lost`.
        tell: Called when a hole must be known: the owner then calls :meth:`told`.
    """

    __slots__ = ("_again", "_ask", "_bytes", "_pass_on", "_tell", "_waiting", "begun", "keeps", "position", "state")

    def __init__(
        self, pass_on: Callable[[MessageT], object], ask: Callable[[], object], tell: Callable[[], object]
    ) -> None:
        self._pass_on = pass_on
        self._ask = ask
        self._tell = tell
        self.state: TailState = TailState.OPEN
        self.position: Position | None = None
        """The position of the last kept message that was passed on; None while the topic has none."""
        self.begun: bool = False
        """Whether the engine passes on all messages, as it has reported."""
        self.keeps: bool = False
        """Whether the topic has a history."""
        self._waiting: list[tuple[MessageT, Position | None, int]] = []
        self._bytes = 0
        self._again = False
        """Whether there is another hole after the one that is being filled or reported."""

    def wanted(self, position: Position | None) -> None:
        """Learn that all messages after a position come; None if the topic has no position yet."""
        if not self.begun:
            self.begun = True
            self.position = position
            self.keeps = self.keeps or position is not None
        elif position != self.position:
            self.keeps = True
            self.position = self.position or Position(position.epoch if position else 0, 0)
            self.gap()

    def message(self, message: MessageT, position: Position | None, size: int) -> None:
        """Take a message of the engine; ``position`` is None if it is not kept."""
        if self.state is not OPEN:
            self._wait(message, position, size)
        elif position is None or self._is_next(position):
            self._pass_on(message)
        elif self.position is None or position.epoch != self.position.epoch or position.offset > self.position.offset:
            self.position = self.position or Position(position.epoch, 0)
            self._wait(message, position, size)
            self.gap()

    def unreadable(self, position: Position | None) -> None:
        """Learn of a message that nobody here can read: a hole that the engine cannot fill."""
        if self.state is TailState.ASKING or self.state is TailState.TELLING:
            self._again = True
        else:
            self.position = position or self.position
            self.keeps = self.position is not None
            self.state = TailState.TELLING
            self._tell()

    def _is_next(self, position: Position) -> bool:
        """Return whether a position follows, and go there if so."""
        last = self.position
        if position.offset != 1 if last is None else position != (last.epoch, last.offset + 1):
            return False
        self.position = position
        self.keeps = True
        return True

    def _wait(self, message: MessageT, position: Position | None, size: int) -> None:
        if len(self._waiting) >= MOST_HELD or (self._waiting and self._bytes + size > MOST_BYTES_HELD):
            self._again = True
        else:
            self._waiting.append((message, position, size))
            self._bytes += size

    def gap(self) -> None:
        """Learn that messages are missing, or can be."""
        if self.state is TailState.ASKING or self.state is TailState.TELLING:
            self._again = True
            if not self.keeps:
                self._forget()  # older than the gap: missing as well
        elif self.position is not None:
            self.state = TailState.ASKING
            self._ask()
        elif not self.keeps:
            self.state = TailState.TELLING
            self._tell()

    def _forget(self) -> None:
        self._waiting.clear()
        self._bytes = 0

    def check(self, asked: Position | None, newest: Position) -> None:
        """Compare the engine's newest position with ours of before it was asked."""
        if self.state is not TailState.OPEN or not self.begun:
            return
        self.keeps = True
        if self.position is None:
            self.position = Position(newest.epoch, 0)
        went_back = asked is not None and (newest.epoch != asked.epoch or newest.offset < asked.offset)
        if went_back or newest.epoch != self.position.epoch or newest.offset > self.position.offset:
            self.gap()

    def filled(self, missing: Iterable[tuple[MessageT, Position]]) -> None:
        """Pass on all that the engine had after :attr:`position`, and then the messages that wait."""
        for message, position in missing:
            self.position = position
            self._pass_on(message)
        self._again = self._drop_other_epochs() or self._again
        self._go_on()

    def lost(self, newest: Position) -> None:
        """Go on from a position: some messages before it are lost."""
        self.position = newest
        self._drop_other_epochs()
        self.state = TailState.TELLING
        self._tell()

    def _drop_other_epochs(self) -> bool:
        """Drop messages that wait and are not of our epoch: the engine has just said which one is its own."""
        epoch = None if self.position is None else self.position.epoch
        waiting = [one for one in self._waiting if one[1] is None or one[1].epoch == epoch]
        dropped = len(waiting) < len(self._waiting)
        self._waiting = waiting
        return dropped

    def told(self) -> None:
        """Go on: the hole is known."""
        self._go_on()

    def _go_on(self) -> None:
        waiting, again = self._waiting, self._again
        self._waiting, self._bytes, self._again = [], 0, False
        self.state = TailState.OPEN
        for message, position, size in waiting:
            self.message(message, position, size)
        if again:
            self.gap()
