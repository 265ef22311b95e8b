"""The part of a server that owns partitions, by leases of its backplane, and gives them away.

A server without such a part shares no resources with others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from wsframe.backplane.contained import ContainedBackplane
from wsframe.backplane.interface import Backplane
from wsframe.connection.reactor import Reactor
from wsframe.hooks.leased_partitions import LeasedPartitions
from wsframe.hooks.listeners import Roster
from wsframe.resources.routing.registry import Registry
from wsframe.resources.server import Server
from wsframe.resources.topics.topics import Topics
from wsframe.server.cluster import Cluster
from wsframe.server.drain import Drain
from wsframe.server.ownership.giving import Giving
from wsframe.server.ownership.owned_partitions import OwnedPartitions
from wsframe.server.posting import Posting
from wsframe.user_code.protected_nursery import ProtectedNursery
from wsframe.workers.worker import Worker

__all__ = ["REQUEST_REBALANCE", "PartitionOwner", "has_owners", "made_owner", "rebalanced"]

LAME_DUCK = 0.75
"""Share of the lame duck time in which partitions are given away."""
REQUEST_REBALANCE: Final = b"rebalance"
NAMES: Final = ("acquire", "renew", "release")


class PartitionOwner:
    """The partitions that a server owns, and gives away.

    Args:
        owned: The partitions.
        giving: Gives them away.
    """

    def __init__(self, owned: OwnedPartitions, giving: Giving) -> None:
        self.owned = owned
        self.giving = giving

    async def run(self, drain: Drain) -> None:
        """Own partitions until cancelled; once the server is to stop, give them to others while it still accepts."""
        async with ProtectedNursery() as nursery:
            nursery.start_soon(self.owned.run, again=True)
            nursery.start_soon(self.giving.run, again=True)
            await drain.asked.wait()
            if drain.left > 0:
                await self.giving.leave_all(LAME_DUCK * drain.left)


def rebalanced(server: Server) -> dict[str, Any]:
    """Have all servers of a service give partitions away; return the answer to an inquiry."""
    owner: PartitionOwner | None = getattr(server._internals, "owner", None)
    if owner is None:
        return {"error": "this server shares no resources with others"}
    owner.giving.rebalance()
    return {}


def has_owners(registries: Iterable[Registry]) -> bool:
    """Return whether something is registered that lives in one process at a time."""
    for registry in registries:
        if registry.table.dispatchers or any(one.scope != "shared" for _, one in registry.table.registrations()):
            return True
    return False


def grants_leases(plane: Backplane | None, worker: Worker | None) -> bool:
    """Return whether a backplane decides which server owns a partition; workers of one machine do it by their slots."""
    inner = plane.inner if isinstance(plane, ContainedBackplane) else plane
    if inner is None or (worker is not None and not getattr(inner, "beyond", True)):
        return False
    return all(callable(getattr(inner, name, None)) for name in NAMES)


def made_owner(
    roster: Roster, leased: LeasedPartitions, topics: Topics, posting: Posting, reactor: Reactor, cluster: Cluster,
    worker: Worker | None,
) -> PartitionOwner | None:  # fmt: skip
    """Make the part of a server that owns partitions, before any life begins; None if it shares no resource."""
    plane = topics.interest.others
    if plane is None or not grants_leases(plane, worker):
        return None
    if not has_owners(roster.registries):
        roster.placement.shared_only = True
        return None
    tokens = None if worker is None else worker.board.tokens
    owned = OwnedPartitions(
        plane, topics, roster.placement, leased, posting, roster.update, cluster.lease_seconds, tokens
    )
    roster.placement.leased = owned
    posting.service = ""  # the service of all machines, which the backplane separates from others
    return PartitionOwner(owned, Giving(owned, reactor))
