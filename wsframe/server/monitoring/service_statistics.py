"""The whole service as one: each worker answers inquiries of the others, and all their statistics are added.

The sockets are in the runtime directory, one for each process. A worker that does not answer in time, because its event
loop stands still or it has just died, is listed without statistics, and the inquiry does not wait longer for it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from heapq import nlargest
from typing import Any

import trio

from wsframe.log import Log, log_for
from wsframe.resources.server import Server, ServerStatistics, ServiceStatistics, WorkerStatistics
from wsframe.server.monitoring.inquiry import MOST_AT_ONCE, REQUEST, answer_inquiries, inquire, unknown
from wsframe.server.monitoring.nodes import REQUEST_NODES, nodes_of
from wsframe.server.monitoring.statistics_json import SLOWEST, snapshot, statistics_of, statistics_to_json, together
from wsframe.server.ownership.partition_owner import REQUEST_REBALANCE, rebalanced
from wsframe.server.sockets.bind import bind_unix, unlink_own
from wsframe.user_code.errors import only_leaf
from wsframe.user_code.protected_nursery import ProtectedNursery
from wsframe.workers.board import Board
from wsframe.workers.worker import Worker, inquiries_at

__all__ = ["answer_workers", "ask_first", "ask_workers", "combined", "service_snapshot", "service_statistics"]

logger: Log = log_for(__name__)

PATIENCE = 2.0
"""Seconds that a worker has for its answer."""
LOOK = 1.0
"""Seconds between two looks at the path of a socket, which a program that removes old files can take away."""

PARTS = {"addresses", "slowest"}
"""The fields of a snapshot beside the statistics."""

Snapshot = Mapping[str, Any]
Answers = dict[tuple[int, int], Snapshot]
"""By slot and generation."""


async def answer_workers(worker: Worker, server: Server) -> None:
    """Answer the inquiries of other processes of the service, until cancelled; log an error if that is impossible."""
    if not worker.folder:  # a worker without a supervisor
        return

    async def answer(request: bytes) -> dict[str, Any]:
        if request == REQUEST_NODES:
            return {"nodes": await nodes_of(server)}
        if request == REQUEST_REBALANCE:
            return rebalanced(server)
        return snapshot(server) if request == REQUEST else unknown(request)

    path = inquiries_at(worker.folder, worker.slot, worker.generation)
    try:
        while True:
            with bound(path) as sock:
                async with ProtectedNursery() as nursery:
                    nursery.start_soon(answer_inquiries, sock, answer)
                    while not is_removed(path):  # noqa: ASYNC110
                        await trio.sleep(LOOK)
                    nursery.cancel()
            logger.warning("%s has been removed, and is made again", path)
    except* OSError as error:
        logger.error("this worker answers no inquiries: %s", only_leaf(error))


def is_removed(path: str) -> bool:
    """Return whether a file has been removed, and there is a folder for another one, which the supervisor makes."""
    return not os.path.exists(path) and os.path.isdir(os.path.dirname(path))


@contextmanager
def bound(path: str) -> Iterator[socket.socket]:
    """Bind a socket for inquiries; remove it at the end."""
    with bind_unix(path, MOST_AT_ONCE) as sock:
        bound_as = os.stat(path)
        try:
            yield sock
        finally:
            with suppress(OSError):
                unlink_own(path, bound_as)


async def ask_first(folder: str, board: Board, request: bytes) -> dict[str, Any]:
    """Ask the first worker that answers."""
    for slot, row in board.processes():
        with trio.move_on_after(PATIENCE):
            answer = await inquire(inquiries_at(folder, slot, row.generation), request)
            if answer is not None:
                return answer
    return {"error": "no worker answers"}


async def ask_workers(folder: str, board: Board) -> Answers:
    """Ask all workers; return the answer of each, by its slot and generation, that came in time."""
    found: Answers = {}

    async def ask(slot: int, generation: int) -> None:
        with trio.move_on_after(PATIENCE):
            answer = await inquire(inquiries_at(folder, slot, generation))
            if answer is not None and readable_statistics(answer) is not None:
                found[slot, generation] = answer

    async with ProtectedNursery() as nursery:
        for slot, row in board.processes():
            nursery.start_soon(ask, slot, row.generation)
    return found


def combined(board: Board, answers: Answers) -> ServiceStatistics:
    """Add the answers of the workers that are there now: some may have ended since they were asked."""
    workers = [
        WorkerStatistics(
            slot=slot,
            pid=row.pid,
            generation=row.generation,
            state=board.state(slot).name.lower(),
            statistics=readable_statistics(answers.get((slot, row.generation))),
        )
        for slot, row in board.processes()
    ]
    down = set(range(board.count)) - {one.slot for one in workers}
    workers += [
        WorkerStatistics(slot=slot, pid=0, generation=0, state=board.state(slot).name.lower(), statistics=None)
        for slot in down
    ]
    workers.sort(key=lambda one: (one.slot, one.generation))
    total = together(one.statistics for one in workers if one.statistics is not None)
    return ServiceStatistics(total=total, workers=tuple(workers))


def readable_statistics(answer: Snapshot | None) -> ServerStatistics | None:
    """Return the statistics of an answer; None for none, or one of another version of wsframe."""
    try:
        return None if answer is None or not answer.keys() >= PARTS else statistics_of(answer)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


async def service_statistics(worker: Worker | None, own: ServerStatistics) -> ServiceStatistics:
    """Return the statistics of the whole service.

    Args:
        worker: The worker that asks; None for a server that is not one of several.
        own: Its own statistics.
    """
    if worker is None or not worker.folder:
        await trio.lowlevel.checkpoint()
        alone = WorkerStatistics(slot=0, pid=os.getpid(), generation=0, state="ready", statistics=own)
        return ServiceStatistics(total=own, workers=(alone,))
    return combined(worker.board, await ask_workers(worker.folder, worker.board))


async def ask_for_nodes(folder: str, board: Board) -> list[Any]:
    """Ask the workers, one after another, for the servers on all machines, until one answers."""
    for slot, row in board.processes():
        with trio.move_on_after(PATIENCE):
            answer = await inquire(inquiries_at(folder, slot, row.generation), REQUEST_NODES)
            if answer is not None and isinstance(answer.get("nodes"), list):
                return list(answer["nodes"])
    return []


async def service_snapshot(folder: str, board: Board) -> dict[str, Any]:
    """Return the state of a whole service, ready for JSON: as that of one server, each worker's, and all machines'."""
    answers = await ask_workers(folder, board)
    found = combined(board, answers)
    given = [answers[worker] for worker in sorted(answers)]
    slowest = [client for one in given for client in one["slowest"]]
    return {
        "time": trio.current_time(),
        "addresses": given[0]["addresses"] if given else [],
        **statistics_to_json(found.total),
        "slowest": nlargest(SLOWEST, slowest, key=lambda client: int(client["bytes_waiting"])),
        "workers": [
            {**one._asdict(), "statistics": None if one.statistics is None else statistics_to_json(one.statistics)}
            for one in found.workers
        ],
        "nodes": await ask_for_nodes(folder, board),
    }
