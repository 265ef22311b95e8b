"""The servers that follow the changes of a registry, and whether it can be changed."""

from __future__ import annotations

from collections.abc import Callable

from wsframe.doorbell import check_thread

__all__ = ["Watchers"]


class Watchers:
    """The functions to call after each change of a registry."""

    def __init__(self) -> None:
        self._tells: list[Callable[[], None]] = []
        self.frozen: bool = False
        """Whether several workers serve the registry: each has a copy, which would differ after a change."""

    def __bool__(self) -> bool:
        return bool(self._tells)

    def add(self, tell: Callable[[], None]) -> None:
        """Have ``tell`` called after each change of the resources."""
        self._tells.append(tell)

    def remove(self, tell: Callable[[], None]) -> None:
        """Stop calling ``tell``."""
        self._tells.remove(tell)

    def tell(self) -> None:
        """Report a change."""
        for tell in tuple(self._tells):
            tell()

    def check(self) -> None:
        """Check that a change can be made now.

        Raises:
            RuntimeError: While workers serve the registry, and in another thread than trio's once a server is
                to be told.
        """
        self.check_frozen()
        if self._tells:
            check_thread()

    def check_frozen(self) -> None:
        """Check that no workers serve the registry.

        Raises:
            RuntimeError: If they do.
        """
        if self.frozen:
            raise RuntimeError(
                "workers serve this registry, and each has a copy: register everything before they start, "
                "and a factory for paths that are known later"
            )
