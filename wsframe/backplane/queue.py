"""The reports that wait for one member of a hub, bounded.

A member that does not take its reports must cost neither memory nor the others' time. Beyond the
limit the queue drops messages and remembers their topics: each such topic is a hole. Later messages
of a topic with a hole are dropped as well, so that its gap is reported before any of them, and that
takes one set instead of an order of holes among messages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from wsframe.backplane.interface import Position, Told
from wsframe.doorbell import Doorbell

__all__ = ["LIMIT", "Gap", "Message", "Queue", "Reach", "Report", "Run", "Wanted", "tell"]

LIMIT = 8 << 20
"""Bytes of messages that wait for one member."""
OVERHEAD = 200
"""Bytes that a report costs beside its message."""
MOST_HOLES = 1_000
"""Topics with a hole that are remembered one by one; with more of them all topics have one."""


@dataclass(slots=True, eq=False)
class Message:
    """A message of a topic, one object for all members."""

    topic: str
    payload: bytes
    sender: str
    position: Position | None
    encoded: bytes = b""
    """The frame of the message, made by the relay for the first member that takes it."""

    @property
    def size(self) -> int:
        """Its bytes, as far as they count for the limit of a queue."""
        return len(self.topic) + len(self.payload)


class Run(NamedTuple):
    """Messages of one sender on one topic that the relay has read one after another, and passes on as they are."""

    topic: str
    sender: bytes
    frames: bytes
    """Their frames, one after another: one object for all members."""

    @property
    def size(self) -> int:
        """Its bytes, as far as they count for the limit of a queue."""
        return len(self.frames)


class Wanted(NamedTuple):
    """The member receives every later message of a topic."""

    topic: str
    position: Position | None


class Gap(NamedTuple):
    """Messages of a topic, or of all topics, are missing."""

    topic: str | None


class Reach(NamedTuple):
    """The engine behind the hub can be reached, or not."""

    up: bool
    crowded: bool = False
    """Whether it takes messages more slowly than they come."""


Report = Message | Run | Wanted | Gap | Reach


class Queue:
    """The reports for one member, in order.

    Args:
        limit: Bytes beyond which messages are dropped.
        ring: Called for each report; None rings ``doorbell``.
    """

    def __init__(self, limit: int = LIMIT, ring: Callable[[], object] | None = None) -> None:
        self._limit = limit
        self._reports: list[Report] = []
        self._holes: set[str] = set()
        self._all = False
        self._reach: Reach | None = None
        self.doorbell: Doorbell = Doorbell()
        self._ring = ring or self.doorbell.ring
        self.bytes: int = 0
        self.dropped: int = 0

    def __bool__(self) -> bool:
        return bool(self._reports or self._holes or self._all or self._reach is not None)

    def put(self, topic: str, report: Report, size: int) -> None:
        """Add a report on a topic, or drop it if there is no room."""
        if type(report) is Wanted:  # at most one for each topic that the member asked for
            self._reports.append(report)
        elif self._all or topic in self._holes:
            self.dropped += 1
        elif self.bytes and self.bytes + size > self._limit:
            self._drop(topic)
        else:
            self._reports.append(report)
            self.bytes += size + OVERHEAD
        self._ring()

    def gap(self, topic: str | None) -> None:
        """Report a gap after the reports that wait now; None stands for all topics."""
        if not self._all and topic not in self._holes:
            if self.bytes + OVERHEAD <= self._limit:
                self._reports.append(Gap(topic))
                self.bytes += OVERHEAD
            elif topic is None:
                self._all = True
                self._holes.clear()
            else:
                self._drop(topic)
        self._ring()

    def reach(self, up: bool, *, crowded: bool = False) -> None:
        """Report after everything else whether the engine can be reached; only the last of such reports counts."""
        self._reach = Reach(up, crowded)
        self._ring()

    def _drop(self, topic: str) -> None:
        self.dropped += 1
        if len(self._holes) < MOST_HOLES:
            self._holes.add(topic)
        else:
            self._all = True
            self._holes.clear()

    def take(self) -> list[Report]:
        """Return all reports, and after them the gaps of the topics with a hole; both are gone then."""
        reports = self._reports
        if self._all:
            reports.append(Gap(None))
        elif self._holes:
            reports += map(Gap, sorted(self._holes))
            self._holes.clear()
        if self._reach is not None:
            reports.append(self._reach)
        self._reports, self._all, self._reach, self.bytes = [], False, None, 0
        return reports


def tell(told: Told, report: Report) -> None:
    """Pass a report on."""
    if isinstance(report, Message):
        told.message(report.topic, report.payload, report.sender, report.position)
    elif isinstance(report, Wanted):
        told.wanted(*report)
    elif isinstance(report, Reach):
        told.reach(report.up)
    else:
        assert isinstance(report, Gap), "runs are for the members of a relay, which takes them apart"
        told.gap(report.topic)
