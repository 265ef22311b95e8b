"""The right of a process to act for a resource: a token for the writes elsewhere, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf
from typing import final

import trio

__all__ = ["Ownership"]


@final
class Ownership:
    """The right of this process to act for a resource; :attr:`Resource.ownership` is one.

    Where several servers share resources by a backplane, one of them at a time holds a lease of each, and acts only
    while it holds it. After a loss only ``disconnected`` and the exit of ``running()`` are called, and the resource's
    ``publish_*``, ``post`` and ``subscribe`` do nothing: clean memory there, and write nothing.

    Without such a backplane nobody can take the resource away: ``until`` is infinite, ``lost`` is False, and the
    token is that of this life alone.
    """

    __slots__ = ("_left", "token")

    def __init__(self, token: int | None = None, left: Callable[[], float] | None = None) -> None:
        self.token: int = time.time_ns() // 1000 if token is None else token
        """A number that grows with each new owner: microseconds since 1970, or one more than the one before. Write it
        with everything that is kept elsewhere, and have the store refuse smaller ones: that alone is safe from a
        process that was stopped in the middle of a step."""
        self._left = left

    def __repr__(self) -> str:
        return f"<Ownership {self.token}{', lost' if self.lost else ''}>"

    @property
    def until(self) -> float:
        """The time by ``trio.current_time()`` at which this process stops to act, unless it renews the lease before."""
        return inf if self._left is None else trio.current_time() + self._left()

    @property
    def lost(self) -> bool:
        """Whether this process has lost the right, and another one can have it."""
        return self._left is not None and self._left() <= 0
