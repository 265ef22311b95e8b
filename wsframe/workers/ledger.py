"""Places over all workers, counted by the board: each worker writes its own row, and reads all.

Nothing is locked, so workers that take the last place at the same time all get one: at most as many too many as
there are other workers. Addresses are counted in 4096 buckets. Several can share one, and then an address can be
refused although it has not had all of its places.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from wsframe.workers.board import BUCKETS
from wsframe.workers.worker import Worker

__all__ = ["Ledger"]

FULL: Final = 0xFFFF
"""The largest number that a bucket can hold."""


class Ledger:
    """The places of one worker, on the board."""

    def __init__(self, worker: Worker) -> None:
        self._board = worker.board
        self._row = worker.row
        # Alike in all workers of a service, and not in another one.
        self._key = f"{worker.folder} {worker.supervisor}".encode()[-64:]
        self._taken: dict[int, int] = {}

    @property
    def total(self) -> int:
        """Places taken in all workers."""
        return self._board.reserved()

    def by(self, network: str) -> int:
        """Return the places taken by a network in all workers, with those of networks that share its bucket."""
        return self._board.in_bucket(self._bucket(network))

    def take(self, network: str) -> None:
        """Count one more place."""
        self._row.reserved += 1
        self._change(network, 1)

    def leave(self, network: str) -> None:
        """Count one place less."""
        self._row.reserved -= 1
        self._change(network, -1)

    def _change(self, network: str, by: int) -> None:
        if network:
            bucket = self._bucket(network)
            count = self._taken[bucket] = self._taken.get(bucket, 0) + by
            self._row.buckets[bucket] = min(count, FULL)
            if not count:
                del self._taken[bucket]

    def _bucket(self, network: str) -> int:
        digest = blake2b(network.encode(), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "little") % BUCKETS
