"""Balance: workers that accept at once, workers that let others go first, and how many they accept."""

from __future__ import annotations

from random import Random

import pytest
import trio
from trio.testing import MockClock

from wsframe.workers.balance import AT_ONCE, MOMENT, Balance
from wsframe.workers.board import Board, SlotState


class Shares:
    """Workers with loads of their own."""

    def __init__(self, board: Board, loads: list[int]) -> None:
        self.board = board
        self.loads = loads
        self.balances = [
            Balance(board, slot, board.row(slot, 0), lambda slot=slot: self.loads[slot])  # type: ignore[misc]
            for slot in range(len(loads))
        ]
        for slot, balance in enumerate(self.balances):
            board.set_state(slot, SlotState.READY)
            board.row(slot, 0).ready = 1
            balance.note()


async def turn(shares: Shares, slot: int) -> tuple[float, int]:
    """Return the seconds that a worker waits, and how many newcomers it accepts then."""
    before = trio.current_time()
    most = await shares.balances[slot].turn()
    return round(trio.current_time() - before, 6), most


async def test_a_worker_that_is_ahead_waits_once_and_then_accepts_one(board: Board, autojump_clock: MockClock) -> None:
    shares = Shares(board, [10, 13, 12])
    assert await turn(shares, 0) == (0, 4)
    assert await turn(shares, 1) == (MOMENT, 1)
    assert await turn(shares, 2) == (MOMENT, 1)


async def test_a_worker_far_behind_takes_a_whole_batch(board: Board, autojump_clock: MockClock) -> None:
    shares = Shares(board, [0, 500, 500])
    assert await turn(shares, 0) == (0, AT_ONCE)


@pytest.mark.parametrize("state", [SlotState.DOWN, SlotState.STARTING, SlotState.SILENT])
async def test_nobody_waits_for_a_worker_that_cannot_accept(
    board: Board, state: SlotState, autojump_clock: MockClock
) -> None:
    shares = Shares(board, [5, 0, 5])
    board.set_state(1, state)
    assert await turn(shares, 0) == (0, 2)


async def test_a_worker_alone_does_not_wait(board: Board, autojump_clock: MockClock) -> None:
    shares = Shares(board, [100, 0, 0])
    for slot in (1, 2):
        board.set_state(slot, SlotState.DOWN)
    assert await turn(shares, 0) == (0, AT_ONCE)


async def test_a_new_generation_counts_and_not_the_old_one_that_leaves(board: Board, autojump_clock: MockClock) -> None:
    shares = Shares(board, [50, 0, 50])
    old, new = board.row(1, 0), board.row(1, 1)
    old.load, old.ready = 0, 1
    new.load, new.generation, new.ready = 50, 1, 1
    assert await turn(shares, 0) == (0, 2)


@pytest.mark.parametrize("seed", range(5))
async def test_a_storm_is_shared_equally_whoever_is_fastest(board: Board, autojump_clock: MockClock, seed: int) -> None:
    chance, shares, left = Random(seed), Shares(board, [0, 0, 0]), 2000

    async def accept(slot: int, speed: float) -> None:
        nonlocal left
        while left:
            most = await shares.balances[slot].turn()
            for _ in range(min(left, most)):
                left -= 1
                shares.loads[slot] += 1
            shares.balances[slot].note()
            await trio.sleep(speed * chance.random())

    async with trio.open_nursery() as nursery:
        for slot in range(3):
            nursery.start_soon(accept, slot, 0.001 * 3**slot)  # the last one is nine times as slow
    assert max(shares.loads) <= 1.05 * 2000 / 3
