"""The board: numbers of all processes of a service in shared memory.

Each number has one writer: a worker writes its row and the tokens of its partitions, the supervisor the state of each
slot and the rows of processes that have ended. All read all. So nothing is locked, and a process that dies while it
writes does not disturb the others. Two generations of a slot can run at the same time, so each slot has two rows, by
the parity of the generation.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, Self, final

__all__ = ["BUCKETS", "TOKENS", "Board", "Row", "SlotState"]

BUCKETS: Final = 4096
"""Counters of addresses in a row; several addresses can share one."""

WORD = 8
WORDS = 9
ROW = WORDS * WORD + BUCKETS * 2
GENERATIONS = 2
TOKENS: Final = 256
"""As many as there are partitions."""


class SlotState(IntEnum):
    """A slot as the supervisor sees it."""

    DOWN = 0
    """No process serves it."""
    STARTING = 1
    """Its process is not ready yet."""
    READY = 2
    SILENT = 3
    """Its process is ready, and its event loop stands still."""


def number(at: int, meaning: str) -> property:
    """Make a property for a word of a row."""

    def read(row: Row) -> int:
        return row._words[at]

    def write(row: Row, value: int) -> None:
        row._words[at] = value

    return property(read, write, doc=meaning)


@final
class Row:
    """The numbers of one process; only that process writes them, and the supervisor once it has ended.

    Args:
        memory: The part of the board.
    """

    __slots__ = ("_words", "buckets")

    def __init__(self, memory: memoryview) -> None:
        # Each element is written at once, in the order of the machine: nobody reads half a number.
        self._words: memoryview[int] = memory[: WORDS * WORD].cast("Q")
        self.buckets: memoryview[int] = memory[WORDS * WORD :].cast("H")
        """Places taken by the addresses of each bucket."""

    beats: property = number(0, "How often its event loop has turned since it began; 0 before its first turn.")
    pid: property = number(1, "Its process; 0 for none.")
    generation: property = number(2, "Its generation.")
    ready: property = number(3, "1 once it is ready to serve.")
    clients: property = number(4, "Its connections.")
    reserved: property = number(5, "Places taken, by clients and by newcomers.")
    pending: property = number(6, "Newcomers that have no answer yet.")
    load: property = number(7, "Clients and newcomers, for the balance between acceptors.")
    unready: property = number(8, "The number of its reason to take no newcomers; 0 if it takes them.")

    def clear(self) -> None:
        """Forget the process, which has ended."""
        for at in range(WORDS):
            self._words[at] = 0
        self.buckets[:] = memoryview(bytes(2 * BUCKETS)).cast("H")


@final
class Board:
    """The board of a service.

    Args:
        fd: A descriptor of its memory, which the board then owns.
        count: The number of slots.
    """

    def __init__(self, fd: int, count: int) -> None:
        self.fd = fd
        self.count = count
        self._memory = mmap.mmap(fd, size_of(count))
        view = memoryview(self._memory)
        self._states: memoryview[int] = view[: self._first(count)].cast("Q")
        self._rows = [
            Row(view[at : at + ROW])
            for at in range(self._first(count), self._first(count) + ROW * GENERATIONS * count, ROW)
        ]
        self.tokens: memoryview[int] = view[size_of(count) - WORD * TOKENS :].cast("Q")
        """By partition: the token of the lease by which a process of this service acts; 0 for none. That of a process
        that has been killed stays: its successor gives the lease back."""

    @staticmethod
    def _first(count: int) -> int:
        return WORD * (count + 1)

    @classmethod
    def make(cls, count: int) -> Self:
        """Make an empty board with this many slots."""
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("wsframe board")
        else:
            with tempfile.TemporaryFile() as file:
                fd = os.dup(file.fileno())
        os.ftruncate(fd, size_of(count))
        return cls(fd, count)

    def row(self, slot: int, generation: int) -> Row:
        """Return the row of a slot's process."""
        return self._rows[GENERATIONS * slot + generation % GENERATIONS]

    def newest(self, slot: int) -> Row:
        """Return the row of the newest process of a slot that is ready."""
        one, other = self._rows[GENERATIONS * slot : GENERATIONS * (slot + 1)]
        return max(one, other, key=lambda row: (row.ready, row.generation))

    def rows(self) -> Iterator[Row]:
        """Yield all rows, including those of ended processes, which are zero."""
        yield from self._rows

    def processes(self) -> Iterator[tuple[int, Row]]:
        """Yield the slot and the row of each process that is or has been ready."""
        for at, row in enumerate(self._rows):
            if row.ready:
                yield at // GENERATIONS, row

    def state(self, slot: int) -> SlotState:
        """Return the state that the supervisor has written for a slot."""
        return SlotState(self._states[slot])

    def set_state(self, slot: int, state: SlotState) -> None:
        """Write the state of a slot; for the supervisor."""
        self._states[slot] = state

    @property
    def relay_beats(self) -> int:
        """How often the relay's event loop has turned since it began."""
        return self._states[self.count]

    @property
    def relay_offset(self) -> int:
        """Where in the memory the relay writes that number."""
        return WORD * self.count

    def clear_relay(self) -> None:
        """Forget the relay, which has ended."""
        self._states[self.count] = 0

    def reserved(self) -> int:
        """Return the places taken in all processes."""
        return sum(row.reserved for row in self._rows)

    def in_bucket(self, bucket: int) -> int:
        """Return the places taken by the addresses of a bucket in all processes."""
        return sum(row.buckets[bucket] for row in self._rows)

    def close(self) -> None:
        """Release the memory; rows cannot be used any more."""
        os.close(self.fd)


def size_of(count: int) -> int:
    """Return the bytes of a board."""
    return WORD * (count + 1) + ROW * GENERATIONS * count + WORD * TOKENS
