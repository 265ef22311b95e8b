"""Whether newcomers are welcome, at a server and at a service of several workers.

Each worker writes its own reason on the board, so that all of them give a load balancer the same answer, whichever of
them it asks. A worker that is down, starts or stands still says nothing: its successor takes over its newcomers.
"""

from __future__ import annotations

from typing import Final, Protocol

from wsframe.hooks.listeners import Roster
from wsframe.resources.topics.topics import Topics
from wsframe.server.capacity import Places
from wsframe.server.ownership.partition_owner import PartitionOwner
from wsframe.workers.board import Row, SlotState
from wsframe.workers.worker import Worker

__all__ = ["note_reason", "others_not_ready", "reason_of_server", "reason_of_service"]

STOPPING: Final = "server stopping"
STARTING: Final = "server starting"
FULL: Final = "server full"
UNREACHED: Final = "backplane not reached yet"
STRANDED: Final = "backplane out of reach"
DENIED: Final = "backplane grants no leases"
PAUSING: Final = "resource not running"
REASONS: Final = ("", STOPPING, STARTING, FULL, UNREACHED, STRANDED, PAUSING, DENIED)
"""A worker writes the number of one of them on the board."""


class CheckedServer(Protocol):
    """The parts of a server that decide."""

    roster: Roster
    owner: PartitionOwner | None

    @property
    def draining(self) -> bool: ...
    @property
    def started(self) -> bool: ...
    @property
    def places(self) -> Places: ...
    @property
    def topics(self) -> Topics: ...


def reason_of_server(server: CheckedServer) -> str:
    """Return the reason why this process takes no newcomers; empty if it does."""
    if server.draining:
        return STOPPING
    if not server.started:
        return STARTING
    if server.places.full:
        return FULL
    if not server.topics.reached:
        return UNREACHED
    if server.owner is not None and server.owner.owned.stranded:
        return STRANDED
    if server.owner is not None and server.owner.owned.denied:
        return DENIED
    return PAUSING if server.roster.any_pausing() else ""


def note_reason(row: Row, reason: str) -> None:
    """Write the reason of a worker on the board."""
    row.unready = REASONS.index(reason)


def reason_of_service(worker: Worker | None, own: str) -> str:
    """Return the reason why a whole service takes no newcomers; empty if it does.

    It is the reason of all its workers, or one that is about the program or the service and not about a worker: no
    place is left, a resource has failed, the one that is asked has been told to stop.

    Args:
        worker: The worker that is asked; None for a server that is not one of several.
        own: Its own reason.
    """
    if worker is None:
        return own
    board = worker.board
    newest = board.newest(worker.slot)
    followed = newest.ready and newest.generation > worker.generation  # it leaves, and the service goes on
    if own in (STOPPING, FULL) and not followed:
        return own
    others = [slot for slot in range(board.count) if board.state(slot) is SlotState.READY]
    rows = [board.newest(slot) for slot in others if followed or slot != worker.slot]
    reasons = [REASONS[row.unready] for row in rows if row.ready]
    if not followed:
        reasons.append(own)  # the board has that of the last beat
    if PAUSING in reasons:
        return PAUSING
    return "" if "" in reasons else (reasons or [STARTING])[0]


def others_not_ready(worker: Worker | None) -> list[str]:
    """Return a line for each worker of the service that is not ready."""
    if worker is None:
        return []
    states = [worker.board.state(slot) for slot in range(worker.count)]
    return [f"worker {slot} is {one.name.lower()}" for slot, one in enumerate(states) if one is not SlotState.READY]
