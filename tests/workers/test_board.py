"""The board: numbers in shared memory."""

from __future__ import annotations

import os

from wsframe.workers.board import BUCKETS, TOKENS, Board, SlotState
from wsframe.workers.partitions import PARTITIONS


def test_another_process_with_the_descriptor_reads_the_numbers(board: Board) -> None:
    other = Board(os.dup(board.fd), 3)
    row = board.row(1, 4)
    row.beats, row.pid, row.clients, row.reserved = 2**63, 17, 5, 6
    row.buckets[BUCKETS - 1] = 65535
    seen = other.row(1, 4)
    assert (seen.beats, seen.pid, seen.clients, seen.reserved) == (2**63, 17, 5, 6)
    assert (other.reserved(), other.in_bucket(BUCKETS - 1), other.in_bucket(0)) == (6, 65535, 0)
    other.close()


def test_two_generations_of_a_slot_have_a_row_each(board: Board) -> None:
    rows = [board.row(slot, generation) for slot in range(3) for generation in (7, 8)]
    for at, row in enumerate(rows):
        row.reserved = 2**at
        row.buckets[0] = 2**at
    assert board.reserved() == board.in_bucket(0) == 63
    assert board.row(2, 9).reserved == board.row(2, 7).reserved


def test_a_row_that_is_cleared_counts_nothing(board: Board) -> None:
    row, other = board.row(0, 0), board.row(1, 0)
    row.beats = row.pid = row.reserved = other.reserved = 3
    row.buckets[9] = other.buckets[9] = 2
    row.clear()
    assert (row.beats, row.pid, board.reserved(), board.in_bucket(9)) == (0, 0, 3, 2)


def test_states_and_the_beats_of_the_relay_are_beside_the_rows(board: Board) -> None:
    board.set_state(2, SlotState.SILENT)
    os.pwrite(board.fd, b"\x05", board.relay_offset)
    assert [board.state(slot) for slot in range(3)] == [SlotState.DOWN, SlotState.DOWN, SlotState.SILENT]
    assert board.relay_beats == 5
    assert all(row.beats == 0 for row in board.rows())
    board.clear_relay()
    assert board.relay_beats == 0


def test_each_partition_has_a_token_that_all_processes_read() -> None:
    board = Board.make(2)
    try:
        assert len(board.tokens) == TOKENS == PARTITIONS
        other = Board(os.dup(board.fd), 2)
        for row in board.rows():
            row.buckets[-1] = 7
        board.tokens[0] = board.tokens[-1] = 2**63
        assert (other.tokens[0], other.tokens[-1], sum(map(bool, other.tokens))) == (2**63, 2**63, 2)
        assert other.in_bucket(BUCKETS - 1) == 4 * 7
        for row in board.rows():
            row.clear()
        assert other.tokens[-1] == 2**63, "it outlives the process"
        other.close()
    finally:
        board.close()
