"""Reads the file of lives: of one path, no two may overlap."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["overlaps"]


def overlaps(text: str) -> list[str]:
    """Return a line for each life that began before the one before it had ended, in another process that lived on.

    A process that was killed notes no end. Its life ends before the next one begins, because the supervisor has reaped
    it; that it says nothing after the beginning of the next one is looked at here.
    """
    found: list[str] = []
    by_path: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        words = line.split()
        by_path.setdefault(words[2], []).append(words)
    for path, notes in by_path.items():
        found += of_path(path, notes)
    return found


def of_path(path: str, notes: Iterable[list[str]]) -> list[str]:
    found: list[str] = []
    living: str | None = None
    gone: set[str] = set()
    for _, what, _, process in notes:
        if process in gone:
            found.append(f"{path}: process {process} {what} after another process has begun")
        if what == "begins":
            if living is not None and living != process:
                gone.add(living)
            elif living == process:
                found.append(f"{path}: process {process} begins twice")
            living = process
        elif living == process:
            living = None
    return found
