"""Which servers of a service have the partitions: asked before a newcomer is served, refused or passed on."""

from __future__ import annotations

from typing import Protocol, final

__all__ = ["Holders", "OneHolder"]


class Holders(Protocol):
    """Names the server that has a partition. Servers have the names that :meth:`Backplane.run` got."""

    def holder_of(self, partition: int) -> str:
        """Return the server that has a partition, as last heard; ``""`` if that is not known.

        The own name stands for a partition of which this server can act now.
        """

    async def look_again(self, partition: int) -> str:
        """Ask the engine for the server that has a partition now, and acquire it for this one if nobody has it.

        It waits for the next owner of a partition that one server gives to another. ``""`` if nobody has it and it is
        not granted, or the engine cannot be reached.
        """


@final
class OneHolder:
    """A server that has all partitions, because it shares none.

    Args:
        node: Its name.
    """

    def __init__(self, node: str) -> None:
        self._node = node

    def holder_of(self, partition: int) -> str:
        """Return the name of this server."""
        return self._node

    async def look_again(self, partition: int) -> str:
        """Return the name of this server."""
        return self._node
