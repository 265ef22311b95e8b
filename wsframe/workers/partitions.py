"""Partitions: the groups in which resources are placed, restarted and moved.

A worker does not own paths but partitions, of which there are 256 however many rooms a program has. Partition 0
holds all resources of scope ``"one"``: they know each other. Those of scope ``"path"`` are spread over the others by
a hash of their key, which every process computes from the registered paths and the path of the request alone.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal, TypeAlias

__all__ = ["EVERYWHERE", "ONE", "PARTITIONS", "Scope", "partition_of", "partitions_of", "slot_of"]

PARTITIONS = 256
"""How many there are; the same number in all processes of a service."""

ONE = 0
"""The partition of all resources of scope ``"one"``."""

EVERYWHERE = -1
"""Stands for a partition where a resource of scope ``"shared"`` has an object in each worker."""

Scope: TypeAlias = Literal["one", "path", "shared"]


def partition_of(key: str, scope: Scope) -> int:
    """Return the partition of a key, the same one in every process.

    Args:
        key: The registered path; for one of several objects of a factory, with the path asked for.
        scope: Of the resource.
    """
    if scope == "path":
        digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return 1 + int.from_bytes(digest, "big") % (PARTITIONS - 1)
    return ONE if scope == "one" else EVERYWHERE


def partitions_of(slot: int, count: int) -> range:
    """Return the partitions of a slot, of ``count`` slots on this machine."""
    return range(slot, PARTITIONS, count)


def slot_of(partition: int, count: int) -> int:
    """Return the slot in which a partition lives, of ``count`` slots on this machine."""
    return partition % count
