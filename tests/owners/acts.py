"""The acts of all servers, and the rule that they follow: once a newer token has acted, an older one never does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["Act", "Watch", "read"]


class Act(NamedTuple):
    """One act of a resource."""

    at: float
    """By CLOCK_MONOTONIC, which is one for all processes of a machine."""
    path: str
    token: int
    node: str
    kind: str

    def line(self) -> bytes:
        """Return it as a line of the file."""
        return f"{self.at:.6f}\t{self.path}\t{self.token}\t{self.node}\t{self.kind}\n".encode()


def read(data: bytes) -> Iterator[Act]:
    """Read whole lines."""
    for line in data.decode().splitlines():
        at, path, token, node, kind = line.split("\t")
        yield Act(float(at), path, int(token), node, kind)


class Watch:
    """Follows the acts in the order of their times, as a store does that refuses older tokens."""

    def __init__(self) -> None:
        self.newest: dict[str, Act] = {}
        """The last act of each path."""
        self.acts: int = 0
        self.owners: int = 0
        """How often a path got another owner."""
        self.longest: float = 0.0
        """The most seconds between two acts of a path; set it to 0 to begin again."""
        self.overlaps: list[str] = []
        """Acts with a token that is older than that of an act before: two owners at overlapping times."""

    def follow(self, acts: Iterable[Act]) -> None:
        """Follow more acts, none of which is older than those before by more than the time between two calls."""
        for act in sorted(acts):
            self.acts += 1
            before = self.newest.get(act.path)
            if before is not None and act.token < before.token:
                self.overlaps.append(f"{act} after {before}")
                continue
            self.longest = max(self.longest, 0.0 if before is None else act.at - before.at)
            self.owners += before is None or act.token > before.token
            self.newest[act.path] = act
