"""Entries by path: exact paths, and patterns with parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from wsframe.http.paths import check_path, folded, is_name, normalized_program_path

__all__ = ["PathTable", "normal"]

EntryT = TypeVar("EntryT")


class PathEntry(NamedTuple, Generic[EntryT]):
    """An entry and the path it is for."""

    path: str
    segments: tuple[str, ...]
    entry: EntryT
    ignore_case: bool


@dataclass(slots=True)
class PathTable(Generic[EntryT]):
    """Entries by path; exact paths are asked first.

    Of exact paths and of patterns those are asked first for which the case of letters counts.
    """

    _exact: dict[str, PathEntry[EntryT]] = field(default_factory=dict)
    _folded: dict[str, PathEntry[EntryT]] = field(default_factory=dict)
    """Those with any case, by the path in lower case."""
    _patterns: dict[str, PathEntry[EntryT]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._exact) + len(self._folded) + len(self._patterns)

    def copy(self) -> PathTable[EntryT]:
        """Return a table of the same entries."""
        return PathTable(self._exact.copy(), self._folded.copy(), self._patterns.copy())

    def put(self, path: str, entry: EntryT, *, ignore_case: bool = False) -> EntryT | None:
        """Put an entry at a path; return the one that was there before.

        Raises:
            TypeError: For a path that is not a str, or ``ignore_case`` that is neither True nor False.
            ValueError: For a path that does not begin with ``/``, or has a query or wrong parameters,
                or that no client can ask for, or that differs from one in the table in the names
                of parameters alone.
        """
        if not isinstance(ignore_case, bool):
            raise TypeError(f"ignore_case is True or False, not {ignore_case!r}")
        path = check_path(path)
        place = PathEntry(path, tuple(path.split("/")), entry, ignore_case)
        if "{" in path:
            for other in self._patterns.values():
                if other.path != path and alike(other, place):
                    raise ValueError(f"{path!r} is registered already, as {other.path!r}: unregister that first")
            former = self._patterns.get(path)
            self._patterns[path] = place
            return None if former is None else former.entry
        former = self._exact.pop(path, None)
        loose = self._folded.get(folded(path))
        if loose is not None and (ignore_case or loose.path == path):
            former = self._folded.pop(folded(path))
        if ignore_case:
            self._folded[folded(path)] = place
        else:
            self._exact[path] = place
        return None if former is None else former.entry

    def take(self, path: str) -> EntryT | None:
        """Remove the entry of a path, written as it was put, and return it."""
        path = normal(path)
        if "{" in path:
            place = self._patterns.pop(path, None)
        else:
            place = self._exact.pop(path, None) or self._folded.pop(folded(path), None)
        return None if place is None else place.entry

    def match(self, path: str, as_sent: str) -> tuple[EntryT, dict[str, str]] | None:
        """Return the entry for a path, and the text that its ``{name}`` segments matched.

        Args:
            path: In the form in which paths are compared.
            as_sent: As the client wrote it.
        """
        place = self._exact.get(path) or (self._folded.get(folded(path)) if self._folded else None)
        if place is not None:
            return place.entry, {}
        if self._patterns:
            segments, values = path.split("/"), as_sent.split("/")
            for ignore_case in (False, True):
                for place in self._patterns.values():
                    if place.ignore_case is ignore_case:
                        params = matched(place, segments, values)
                        if params is not None:
                            return place.entry, params
        return None

    def entries(self) -> Iterator[tuple[str, EntryT]]:
        """Yield each path with its entry, exact paths first."""
        for places in (self._exact, self._folded, self._patterns):
            for place in places.values():
                yield place.path, place.entry


def normal(path: object) -> str:
    """Return a path as it would have been registered.

    Raises:
        TypeError: For a path that is not a str.
    """
    if not isinstance(path, str):
        raise TypeError(f"a path is a str, not {type(path).__name__}")
    return "/".join(one if is_name(one) else normalized_program_path(one) for one in path.split("/"))


def alike(one: PathEntry[EntryT], other: PathEntry[EntryT]) -> bool:
    """Return whether two patterns match the same paths."""
    return one.ignore_case is other.ignore_case and nameless(one) == nameless(other)


def nameless(place: PathEntry[EntryT]) -> list[str]:
    segments = ["{}" if is_name(segment) else segment for segment in place.segments]
    return [folded(segment) for segment in segments] if place.ignore_case else segments


def matched(place: PathEntry[EntryT], segments: list[str], values: list[str]) -> dict[str, str] | None:
    if len(place.segments) != len(segments):
        return None
    params: dict[str, str] = {}
    for wanted, segment, value in zip(place.segments, segments, values, strict=True):
        if is_name(wanted) and segment:
            params[wanted[1:-1]] = value
        elif wanted != segment and not (place.ignore_case and folded(wanted) == folded(segment)):
            return None
    return params
