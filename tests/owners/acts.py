"""The acts of all servers, and the rules that they follow: once a newer token has acted, an older one never does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["LEFT", "Act", "Change", "Watch", "read"]

LEFT = "left"
"""The last act of an owner that gives a path away."""


class Act(NamedTuple):
    """One act of a resource."""

    at: float
    """By CLOCK_MONOTONIC, which is one for all processes of a machine."""
    path: str
    token: int
    node: str
    kind: str
    lost: bool = False
    """Whether the server knows that it has lost the lease: it stood still in the middle of a step, and goes on with
    that step. A store refuses the act."""

    def line(self) -> bytes:
        """Return it as a line of the file."""
        return f"{self.at:.6f}\t{self.path}\t{self.token}\t{self.node}\t{self.kind}\t{self.lost:d}\n".encode()


class Change(NamedTuple):
    """A path has got another owner, because the old one has lost it."""

    path: str
    owner: str
    """The old one."""
    last: float
    """When the old one acted for the last time."""
    first: float
    """When the new one acted for the first time."""


def read(data: bytes) -> Iterator[Act]:
    """Read whole lines."""
    for line in data.decode().splitlines():
        at, path, token, node, kind, lost = line.split("\t")
        yield Act(float(at), path, int(token), node, kind, lost == "1")


class Watch:
    """Follows the acts in the order of their times, as a store does that refuses older tokens."""

    def __init__(self) -> None:
        self.newest: dict[str, Act] = {}
        """The last act of each path."""
        self.acts: int = 0
        self.owners: int = 0
        """How often a path got another owner."""
        self.changes: list[Change] = []
        """Changes of owners; empty it to begin again."""
        self.steps: Counter[tuple[str, str, int, str]] = Counter()
        """Steps that went on after the loss of the lease, in a process that had stood still."""
        self.faults: list[str] = []
        """Two owners at overlapping times, a second step of a task after the loss, messages out of order."""

    def follow(self, acts: Iterable[Act]) -> None:
        """Follow more acts, none of which is older than those before by more than the time between two calls."""
        for act in sorted(acts):
            self.acts += 1
            before = self.newest.get(act.path)
            if act.kind == "disorder":
                self.faults.append(f"out of order: {act}")
            if act.lost:
                self._take_late(act)
            elif before is not None and act.token < before.token:
                self.faults.append(f"{act} after {before}")
            else:
                self._take(act, before)

    def _take(self, act: Act, before: Act | None) -> None:
        if before is None or act.token > before.token:
            self.owners += 1
        if before is not None and act.token > before.token and before.kind != LEFT:
            self.changes.append(Change(act.path, before.node, before.at, act.at))
        self.newest[act.path] = act

    def _take_late(self, act: Act) -> None:
        """One step of each task can go on; the next wait ends it."""
        step = act.node, act.path, act.token, act.kind
        self.steps[step] += 1
        if self.steps[step] > 1:
            self.faults.append(f"acts on after its lease: {act}")
