"""Descriptors that a process forked by the program must not keep.

A program can fork, also in a hook: ``os.fork``, or ``multiprocessing``, whose processes are forked by default on Linux.
Close-on-exec does not reach these. Such a child would hold the lock of the runtime directory, the listening sockets
and the links for as long as it lives, and the next service could not start. So in each child these descriptors lead
to ``/dev/null`` instead: their numbers stay taken, because objects of the child can still close them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet

__all__ = ["keep_from_children", "let_children_keep"]


class Socket(Protocol):
    """A socket of Python or of trio."""

    def fileno(self) -> int: ...


files: set[int] = set()
sockets: WeakSet[Socket] = WeakSet()


def keep_from_children(*ends: int | Socket) -> None:
    """Have no child that is forked from now on keep sockets, until they are closed, and descriptors."""
    for end in ends:
        if isinstance(end, int):
            files.add(end)
        else:
            sockets.add(end)


def let_children_keep(descriptor: int) -> None:
    """Forget a descriptor that is about to be closed: its number is that of another file soon."""
    files.discard(descriptor)


def let_go_in_child() -> None:
    """Let go of all of them, in a child that has just been forked."""
    taken = [fd for fd in (*files, *(sock.fileno() for sock in sockets)) if fd >= 0]
    files.clear()
    sockets.clear()
    if taken:
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in taken:
            with suppress(OSError):
                os.dup2(nothing, fd, inheritable=False)
        os.close(nothing)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=let_go_in_child)
