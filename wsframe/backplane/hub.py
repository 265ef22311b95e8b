"""The center of the memory backplane and of the relay: interest, history and leases.

A hub does no input or output and asks no clock: its owner attaches members, calls its methods, and
passes the time. Reports go into the :class:`~wsframe.backplane.queue.Queue` of each member, in one
order for all: a hub is one line that every message passes (``hub_members``).

A lease is granted for a time by the hub's clock. A hub that has lost its memory (``born``) grants
none until a former holder's lease has surely ended. Tokens are the wall clock in microseconds, or
one more than the last, so that they grow over restarts as well.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from math import inf
from typing import NamedTuple

from wsframe.backplane.hub_members import HubMember, HubMembers
from wsframe.backplane.interface import History, Kept, Position
from wsframe.backplane.queue import Message, Queue, Run, Wanted

__all__ = ["Hub", "HubMember"]


class Entry(NamedTuple):
    """A kept message and its age."""

    kept: Kept
    at: float


class TopicHistory:
    """The history of one topic."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.offset: int = 0
        self.entries: deque[Entry] = deque()
        self.seconds: float = 0.0
        self._bytes = 0

    @property
    def newest(self) -> Position:
        return Position(self.epoch, self.offset)

    def append(self, sender: str, payload: bytes, keep: History, now: float) -> Position:
        """Add a message, and drop the oldest ones beyond the bounds."""
        self.offset += 1
        self.seconds = keep.seconds
        self.entries.append(Entry(Kept(self.offset, sender, payload), now))
        self._bytes += len(payload)
        while len(self.entries) > keep.messages or self._bytes > keep.bytes:
            self._drop_oldest()
        self.expire(now)
        return self.newest

    def expire(self, now: float) -> None:
        """Drop the messages that are too old."""
        while self.entries and self.entries[0].at <= now - self.seconds:
            self._drop_oldest()

    def since(self, position: Position, limit: int) -> list[Kept] | None:
        """Return the messages after a position, or None if not all are here or they are too many."""
        missing = self.offset - position.offset
        if position.epoch != self.epoch or not 0 <= missing <= min(limit, len(self.entries)):
            return None
        return [entry.kept for entry in self.entries][len(self.entries) - missing :]

    def _drop_oldest(self) -> None:
        self._bytes -= len(self.entries.popleft().kept.payload)


class Held(NamedTuple):
    """A lease as the hub counts it."""

    node: str
    token: int
    until: float


class Hub:
    """The members of a service, the topics they want, the messages kept, and the leases held.

    Args:
        clock: Returns the time in seconds; it never goes back.
        wall_clock: Returns microseconds since 1970.
        forgetful: Whether a hub before this one can have granted leases that still run.
    """

    def __init__(self, clock: Callable[[], float], wall_clock: Callable[[], int], *, forgetful: bool = False) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._born = clock() if forgetful else -inf
        self._members = HubMembers()
        self._logs: dict[str, TopicHistory] = {}
        self._held: dict[str, Held] = {}
        self._last_token = 0

    # Members and topics

    def attach(self, node: str, queue: Queue) -> HubMember:
        """Add a member; one of the same name, which the node has given up, is detached."""
        former = self._members.named(node)
        if former is not None:
            self.detach(former)
        return self._members.add(node, queue)

    def detach(self, member: HubMember) -> None:
        """Remove a member. Its leases run until they end: nobody knows whether it still acts."""
        self._members.remove(member)

    def want(self, member: HubMember, topics: Iterable[str]) -> None:
        """Send a member the messages of topics from now on."""
        for topic in topics:
            self._members.join(member, topic)
            log = self._logs.get(topic)
            member.queue.put(topic, Wanted(topic, None if log is None else log.newest), len(topic))

    def unwant(self, member: HubMember, topics: Collection[str]) -> None:
        """Stop sending a member the messages of topics."""
        self._members.leave(member, topics)

    def publish(self, member: HubMember, topic: str, payload: bytes, keep: History | None) -> None:
        """Queue a message for each member that wants its topic; for its publisher only if it is kept."""
        position = None if keep is None else self._log(topic).append(member.node, payload, keep, self._clock())
        if self._members.wanting(topic):
            self._members.send(Message(topic, payload, member.node, position), member if keep is None else None)

    def pass_on(self, member: HubMember, run: Run) -> None:
        """Queue messages that are not kept, as they were read, for each other member that wants their topic."""
        self._members.send(run, member)

    def report_gap(self, topic: str | None) -> None:
        """Report to the members that want a topic that messages of it are missing; None stands for all topics."""
        self._members.report_gap(topic)

    def sent(self) -> None:
        """Return at once: published messages are in the queues of the members already."""

    # History

    def newest(self, topic: str) -> Position:
        """Return the position of a topic's newest kept message; from now on it has one."""
        return self._log(topic).newest

    def kept(self, topic: str) -> tuple[Position, list[Kept]]:
        """Return the position of the newest kept message, and all kept messages."""
        log = self._log(topic)
        log.expire(self._clock())
        return log.newest, [entry.kept for entry in log.entries]

    def since(self, topic: str, position: Position, limit: int) -> list[Kept] | None:
        """Return all messages kept after a position, or None."""
        log = self._logs.get(topic)
        if log is None:
            return None
        log.expire(self._clock())
        return log.since(position, limit)

    def sweep(self) -> None:
        """Forget messages that are too old, and topics that keep no message and that no member wants."""
        now = self._clock()
        for topic, log in tuple(self._logs.items()):
            log.expire(now)
            if not log.entries and not self._members.wanting(topic):
                del self._logs[topic]
        for key, held in tuple(self._held.items()):
            if held.until <= now:
                del self._held[key]

    def _log(self, topic: str) -> TopicHistory:
        log = self._logs.get(topic)
        if log is None:
            log = self._logs[topic] = TopicHistory(secrets.randbits(63))
        return log

    # Leases

    def acquire(self, node: str, keys: Sequence[str], seconds: float) -> list[int | str]:
        """Grant the keys that no other node holds: return the token of each, or the node that has it."""
        now = self._clock()
        if now < self._born + seconds:
            return [""] * len(keys)
        return [self._acquire(node, key, now, seconds) for key in keys]

    def _acquire(self, node: str, key: str, now: float, seconds: float) -> int | str:
        held = self._held.get(key)
        if held is not None and held.until > now and held.node != node:  # a holder that asks has missed the answer
            return held.node
        self._last_token = token = max(self._last_token + 1, self._wall_clock())
        self._held[key] = Held(node, token, now + seconds)
        return token

    def renew(self, keys: Sequence[tuple[str, int]], seconds: float) -> list[bool]:
        """Renew the leases of keys with these tokens; return whether each is still held."""
        now = self._clock()
        return [self._renew(key, token, now, seconds) for key, token in keys]

    def _renew(self, key: str, token: int, now: float, seconds: float) -> bool:
        held = self._held.get(key)
        if held is None or held.token != token or held.until <= now:
            return False
        self._held[key] = held._replace(until=now + seconds)
        return True

    def release(self, keys: Sequence[tuple[str, int]]) -> None:
        """Give back keys that are held with these tokens."""
        for key, token in keys:
            held = self._held.get(key)
            if held is not None and held.token == token:
                del self._held[key]
