"""Finalizers of cyclic garbage: the collector calls them in whichever task runs, which can be one of wsframe."""

from __future__ import annotations

import gc
from contextlib import suppress
from typing import Any

import trio

from wsframe.user_code.errors import Nesting
from wsframe.user_code.locked_scope import locked, unlocked

__all__ = ["FinalizerGuard"]


class FinalizerGuard:
    """Closes the scopes and nurseries that finalizers leave open, and locks the one around, within a ``with``.

    Python collects cyclic garbage when some task makes objects: it can be the one that reads all clients, or one that
    starts the server, in the middle of its own scopes. There ``__del__`` and the callbacks of weak references run, and
    a scope that they leave open would stand inside those of the task, whose end would then raise. The collector tells
    when it begins and ends, so the task itself needs no look at its scopes.
    """

    def __init__(self) -> None:
        self._nesting: Nesting | None = None
        self._unlock = unlocked

    def __enter__(self) -> None:
        """Begin."""
        gc.callbacks.append(self._hear)

    def __exit__(self, *_: object) -> None:
        """End."""
        with suppress(ValueError):  # the program has cleared the list
            gc.callbacks.remove(self._hear)

    def _hear(self, phase: str, _: dict[str, Any]) -> None:
        """Note the scopes that are open as a collection starts, and lock the one around; there is one at a time."""
        if phase == "start":
            if trio.lowlevel.in_trio_task():
                self._nesting, self._unlock = Nesting(), locked()
            return
        nesting, self._nesting = self._nesting, None
        unlock, self._unlock = self._unlock, unlocked
        unlock()
        if nesting is not None:
            nesting.close_scopes()
