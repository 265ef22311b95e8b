"""An answer that grants leases is taken, or the leases are given back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from wsframe.backplane.engines.acquisition import Acquisition
from wsframe.backplane.engines.engine import EngineLink

LATE = 3.0


class Slow:
    """Answers late."""

    def __init__(self, answer: list[int | str] | Exception) -> None:
        self.answer = answer
        self.released: list[tuple[str, int]] = []

    async def acquire(self, node: str, keys: Sequence[str], seconds: float) -> list[int | str]:
        await trio.sleep(LATE)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def release(self, keys: Sequence[tuple[str, int]]) -> None:
        self.released += keys


async def ask(link: Slow, patience: float) -> list[int | str] | None:
    answer = None
    acquisition = Acquisition("a", ["k", "l", "m"], 5.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(acquisition.run, cast("EngineLink", link))
        with trio.move_on_after(patience):
            answer = await acquisition.answer()
    return answer


async def test_an_answer_in_time_is_returned_and_nothing_is_given_back(autojump_clock: MockClock) -> None:
    link = Slow([1, "b", 2])
    assert await ask(link, LATE + 1) == [1, "b", 2]
    assert link.released == []


async def test_all_that_a_late_answer_grants_is_given_back(autojump_clock: MockClock) -> None:
    link = Slow([1, "b", 2])
    assert await ask(link, LATE - 1) is None
    assert link.released == [("k", 1), ("m", 2)]


@pytest.mark.parametrize("answer", [["", "", ""], ValueError("refused")])
async def test_a_late_answer_that_grants_nothing_costs_nothing(answer: Any, autojump_clock: MockClock) -> None:
    link = Slow(answer)
    assert await ask(link, LATE - 1) is None
    assert link.released == []


async def test_a_refusal_is_raised_to_the_one_who_asks(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(ValueError):
        await ask(Slow(ValueError("refused")), LATE + 1)


async def test_the_end_of_the_connection_is_an_answer(autojump_clock: MockClock) -> None:
    acquisition = Acquisition("a", ["k"], 5.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(acquisition.run, cast("EngineLink", Slow([1])))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert await acquisition.answer() == [""]
