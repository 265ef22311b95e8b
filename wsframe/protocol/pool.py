"""The connection pool: all connections of a server, and which one's deadline is next."""

from __future__ import annotations

from collections.abc import Hashable
from math import ceil, inf
from typing import Generic, Protocol, TypeVar

from wsframe.protocol.deadlines import Deadlines, Due

__all__ = ["ConnectionPool"]

KeyT = TypeVar("KeyT", bound=Hashable)

# Deadlines are kept in steps of a quarter second, rounded up: clients that came within
# one step share a wake-up, and no timeout of this package is finer.
STEPS = 4


class Alarm(Protocol):
    """The sleep of the task that sweeps, which ends at its deadline."""

    deadline: float


class Timed(Protocol):
    """A connection, as far as the pool needs it."""

    deadlines: Deadlines


class ConnectionPool(Generic[KeyT]):
    """The sans-IO connections of one server, by a key, with their deadlines.

    The reactor feeds each connection the bytes of its socket, and each message that comes out
    goes to the mailbox of a listener task. The pool is not on the path of a message: a
    connection notes its own times, and the pool looks at it when its next deadline has come.
    """

    def __init__(self) -> None:
        self._connections: dict[KeyT, Timed] = {}
        self._by_step: dict[int, set[KeyT]] = {}
        self.alarm: Alarm | None = None
        """An earlier deadline becomes that of the alarm, and the timer sleeps on. It stays when its connection goes:
        the ends of the next seconds then have nothing to change."""

    def __len__(self) -> int:
        return len(self._connections)

    def __repr__(self) -> str:
        return f"<ConnectionPool [connections: {len(self)}]>"

    def add(self, key: KeyT, connection: Timed) -> None:
        """Take a connection in, under a key the caller knows it by; it takes the place of one that had the key."""
        if key in self._connections:
            self.remove(key)
        self._connections[key] = connection
        self.schedule(key)

    def remove(self, key: KeyT) -> None:
        """Forget a connection; one that is not there does no harm."""
        connection = self._connections.pop(key, None)
        if connection is not None:
            self._unschedule(key, connection.deadlines)

    def _unschedule(self, key: KeyT, deadlines: Deadlines) -> None:
        if deadlines.scheduled < inf:
            step = int(deadlines.scheduled * STEPS)
            keys = self._by_step.get(step)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._by_step[step]
            deadlines.scheduled = inf

    def schedule(self, key: KeyT) -> float:
        """Look at a connection's deadlines again, because an earlier one may have come up.

        Returns:
            When the connection will be looked at next; ``inf`` for never.
        """
        connection = self._connections.get(key)
        if connection is None:
            return inf
        deadlines = connection.deadlines
        when = deadlines.next()
        if when < deadlines.scheduled:
            if deadlines.scheduled < inf:
                self._unschedule(key, deadlines)
            step = ceil(when * STEPS)
            deadlines.scheduled = step / STEPS
            self._by_step.setdefault(step, set()).add(key)
        if self.alarm is not None and deadlines.scheduled < self.alarm.deadline:
            self.alarm.deadline = deadlines.scheduled
        return deadlines.scheduled

    def next_deadline(self) -> float:
        """Return when :meth:`sweep` has something to look at; ``inf`` for never."""
        return min(self._by_step) / STEPS if self._by_step else inf

    def sweep(self, now: float) -> list[tuple[KeyT, list[Due]]]:
        """Return the actions due. The caller carries them out, then calls :meth:`schedule` for each key returned."""
        found: list[tuple[KeyT, list[Due]]] = []
        for step in sorted(step for step in self._by_step if step <= now * STEPS):
            for key in self._by_step.pop(step):
                connection = self._connections[key]
                connection.deadlines.scheduled = inf
                dues = connection.deadlines.due(now)
                if dues:
                    found.append((key, dues))
                else:
                    self.schedule(key)
        return found
