"""The other servers of a service: which partitions each of them has, as they say about once a second.

This is only for speed. At most one server has a partition because the engine grants one lease; a report that is late or
lost costs a look at the engine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from wsframe.workers.partitions import PARTITIONS, slot_of

__all__ = ["SILENT", "OtherServers", "Report"]

SILENT = 2.5
"""Seconds without a report after which a server counts as gone."""
GIVEN = 2.0
"""Seconds for which the others leave a partition to the server that got it."""
LONGEST_NAME = 300
NOBODY = 0.0, ""
MOST = 2_000
"""Servers that are remembered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The report of one server about itself."""

    node: str
    slot: int = 0
    count: int = 1
    held: frozenset[int] = frozenset()
    """The partitions that it has."""
    busy: int = 0
    """How many of them have clients."""
    leaving: bool = False
    """Whether it takes no more."""
    asks: bool = False
    """Whether others are to report at once."""
    rebalance: bool = False
    """Whether all are to give away partitions, also those with clients, until each has the same number."""
    given: Mapping[int, str] = field(default_factory=dict[int, str])
    """The partitions that it gives away or has just given away, each with the server that is to have it."""

    def encoded(self) -> bytes:
        """Return the report as bytes."""
        bits = sum(1 << partition for partition in self.held)
        document = {
            "node": self.node, "slot": self.slot, "count": self.count, "held": f"{bits:x}", "busy": self.busy,
            "leaving": self.leaving, "asks": self.asks, "rebalance": self.rebalance,
            "given": [[one, to] for one, to in self.given.items()],
        }  # fmt: skip
        return json.dumps(document).encode()

    @classmethod
    def read(cls, payload: bytes) -> Report:
        """Read a report.

        Raises:
            ValueError: For anything else.
        """
        try:
            document = json.loads(payload)
            node, bits, slot, count = document["node"], int(document["held"], 16), document["slot"], document["count"]
            given = dict(document["given"])
            busy = document.get("busy", 0)
            flags = {name: document[name] for name in ("leaving", "asks", "rebalance")}
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"it lacks a field, or has one of another kind: {error!r}") from None
        names = (node, *given.values())
        if not all(isinstance(one, str) and 0 < len(one) <= LONGEST_NAME for one in names):
            raise ValueError("a name is a str of 1 to 300 characters")
        if not all(one.isascii() and one.isprintable() for one in names):
            raise ValueError("a name is of printable ASCII characters")
        if not all(type(flag) is bool for flag in flags.values()):
            raise ValueError("a flag is true or false")
        if not all(type(one) is int and 0 <= one < PARTITIONS for one in given) or not 0 <= bits < 1 << PARTITIONS:
            raise ValueError(f"a partition is from 0 to {PARTITIONS - 1}")
        if type(slot) is not int or type(count) is not int or not 0 <= slot < count <= PARTITIONS:
            raise ValueError("slot and count are not those of a worker")
        if type(busy) is not int or not 0 <= busy <= PARTITIONS:
            raise ValueError(f"busy is from 0 to {PARTITIONS}")
        held = frozenset(one for one in range(PARTITIONS) if bits >> one & 1)
        return cls(node=node, slot=slot, count=count, held=held, busy=busy, given=given, **flags)


class OtherServers:
    """The other servers.

    Args:
        clock: Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._reports: dict[str, tuple[float, Report]] = {}
        self._given: dict[int, tuple[float, str]] = {}

    def hear(self, report: Report) -> None:
        """Take note of a report, unless more servers report than can be remembered."""
        now = self._clock()
        for node, (at, _) in tuple(self._reports.items()):
            if at < now - 4 * SILENT:
                del self._reports[node]
        if report.node in self._reports or len(self._reports) < MOST:
            self._reports[report.node] = now, report
            self.give(report.given)

    def give(self, given: Mapping[int, str]) -> None:
        """Leave partitions to servers for a moment."""
        now = self._clock()
        self._given.update({one: (now, to) for one, to in given.items()})

    def all(self) -> list[Report]:
        """Return the reports of those that are not silent."""
        earliest = self._clock() - SILENT
        return [report for at, report in self._reports.values() if at >= earliest]

    def takers(self, partition: int) -> list[Report]:
        """Return the reports of servers that would take a partition."""
        return [one for one in self.all() if not one.leaving and slot_of(partition, one.count) == one.slot]

    def hears(self, node: str) -> bool:
        """Return whether a server has reported a moment ago."""
        return any(report.node == node for report in self.all())

    def holder(self, partition: int) -> str:
        """Return the server that has a partition; ``""`` if none says so, or it gives it to another one."""
        to = self.meant_for(partition)
        return next((one.node for one in self.all() if partition in one.held and to in ("", one.node)), "")

    def holders(self) -> dict[int, str]:
        """Return the server of each partition that one has."""
        return {partition: report.node for report in self.all() for partition in report.held}

    def meant_for(self, partition: int) -> str:
        """Return the server to which a partition was given a moment ago; ``""`` if there is none."""
        at, node = self._given.get(partition, NOBODY)
        return node if node and at >= self._clock() - GIVEN else ""


def preferred(partition: int, nodes: Iterable[str]) -> str:
    """Return the first choice for a partition, the same one on all servers that know the same others."""
    return max(nodes, key=lambda node: blake2b(f"{partition} {node}".encode(), digest_size=8).digest(), default="")


def poorest(reports: Collection[Report]) -> Report | None:
    """Return the server with the fewest partitions."""
    return min(reports, key=lambda one: (len(one.held), one.node), default=None)
