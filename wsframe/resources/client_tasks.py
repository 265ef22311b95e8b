"""The tasks of one client: the cancel scopes that end with it."""

from __future__ import annotations

from collections.abc import Callable

import trio

__all__ = ["ClientTasks"]


class ClientTasks:
    """The cancel scopes that end with one client."""

    __slots__ = ("after", "scopes")

    def __init__(self) -> None:
        self.scopes: set[trio.CancelScope] = set()
        self.after: Callable[[], object] | None = None
        """To be called once all scopes are done."""

    def cancel(self) -> None:
        """Cancel all: the client has ended."""
        for scope in self.scopes:
            scope.cancel()

    def done(self, scope: trio.CancelScope) -> None:
        """Forget one that is over."""
        self.scopes.discard(scope)
        if not self.scopes and self.after is not None:
            after, self.after = self.after, None
            after()
