"""Whether newcomers are welcome: the same answer whichever worker is asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wsframe.server.monitoring.readiness import (
    FULL,
    PAUSING,
    STARTING,
    STOPPING,
    UNREACHED,
    note_reason,
    others_not_ready,
    reason_of_service,
)
from wsframe.workers.board import Board, SlotState
from wsframe.workers.control_socket import make_control_sockets
from wsframe.workers.worker import Worker

DOWN, READY, SILENT = SlotState.DOWN, SlotState.READY, SlotState.SILENT


@pytest.fixture
def board() -> Iterator[Board]:
    """Give the board of three workers, all of which are ready and welcome newcomers."""
    made = Board.make(3)
    for slot in range(3):
        made.set_state(slot, READY)
        made.row(slot, 0).ready = 1
    yield made
    made.close()


@pytest.fixture
def worker(board: Board) -> Iterator[Worker]:
    """Give the worker of slot 1."""
    ours, theirs = make_control_sockets()
    yield Worker(slot=1, count=3, generation=0, sockets=(), doors=(), door=theirs, board=board, link=theirs, folder="")
    ours.close()
    theirs.close()


@pytest.mark.parametrize("state", [DOWN, SlotState.STARTING, SILENT])
@pytest.mark.parametrize("said", ["", STOPPING, STARTING, UNREACHED, PAUSING])
def test_a_worker_that_is_not_ready_takes_nobody_out(board: Board, worker: Worker, state: SlotState, said: str) -> None:
    board.set_state(2, state)
    note_reason(board.row(2, 0), said)
    assert reason_of_service(worker, "") == ""
    assert others_not_ready(worker) == [f"worker 2 is {state.name.lower()}"]


@pytest.mark.parametrize("reason", [STARTING, STOPPING, UNREACHED])
def test_a_reason_of_one_worker_takes_nobody_out_and_one_of_all_does(board: Board, worker: Worker, reason: str) -> None:
    for slot in (0, 2):
        assert reason_of_service(worker, reason if reason != STOPPING else "") == ""
        note_reason(board.row(slot, 0), reason)
    assert reason_of_service(worker, "") == ""
    assert reason_of_service(worker, reason) == reason


def test_a_worker_that_has_just_become_ready_does_not_wait_for_its_next_beat(board: Board, worker: Worker) -> None:
    for slot in range(3):
        note_reason(board.row(slot, 0), STARTING)
    assert reason_of_service(worker, "") == ""


def test_a_resource_that_has_failed_counts_in_whichever_worker_it_lives(board: Board, worker: Worker) -> None:
    note_reason(board.row(2, 0), PAUSING)
    assert reason_of_service(worker, "") == PAUSING


@pytest.mark.parametrize("own", [STOPPING, FULL])
def test_a_worker_that_is_told_first_that_the_service_stops_or_is_full_says_so(worker: Worker, own: str) -> None:
    assert reason_of_service(worker, own) == own


def test_a_worker_that_leaves_in_a_restart_says_what_its_successor_says(board: Board, worker: Worker) -> None:
    new = board.row(1, 1)
    new.ready, new.generation = 1, 1
    for reason in ("", PAUSING):
        note_reason(new, reason)
        assert reason_of_service(worker, STOPPING) == reason


@pytest.mark.parametrize("state", [DOWN, SlotState.STARTING, SILENT])
def test_a_service_without_any_worker_that_is_ready_is_not(board: Board, worker: Worker, state: SlotState) -> None:
    for slot in range(3):
        board.set_state(slot, state)
    assert reason_of_service(worker, STARTING) == STARTING
    assert len(others_not_ready(worker)) == 3


def test_a_server_alone_says_its_own_reason() -> None:
    assert reason_of_service(None, UNREACHED) == UNREACHED
    assert others_not_ready(None) == []
