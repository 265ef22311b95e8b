"""The account of all clients: each publication has one place, and each client that is told of a loss has one."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

__all__ = ["Ledger", "Place"]


class Place(NamedTuple):
    """The position of a client, as the protocol has it."""

    epoch: str
    offset: int


class Ledger:
    """The account of all clients.

    Args:
        kept: The publications of a channel that the servers keep.
        late: Those on their way, by which a history can be shorter than the account has it.
    """

    def __init__(self, kept: int, late: int) -> None:
        self.kept = kept
        self.late = late
        self.truth: dict[Place, str] = {}
        """The data at each position, which is the same for all."""
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []

    def fail(self, words: str) -> None:
        """Note something that must not be."""
        self.failures.append(words)

    def publication(self, before: Place, offset: int, data: str) -> Place:
        """Take a publication of a client that was at a position; return its new one."""
        if offset != before.offset + 1:
            self.fail(f"{offset} came after {before.offset}")
        place = Place(before.epoch, offset)
        if self.truth.setdefault(place, data) != data:
            self.fail(f"{place} is {self.truth[place]!r} for one client and {data!r} for another")
        return place

    def refused(self, before: Place, newest: Place) -> None:
        """Take the news that a client has missed publications which are not kept."""
        self.counts["refused"] += 1
        missed = newest.offset - before.offset
        if before.epoch == newest.epoch and missed <= self.kept - self.late:
            self.fail(f"{missed} publications are said to be lost, and {self.kept} are kept")
        self.counts["refused, another epoch" if before.epoch != newest.epoch else "refused, too many"] += 1
