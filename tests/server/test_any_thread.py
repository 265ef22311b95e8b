"""The methods of a handle that other threads call, and the thread in which they run."""

from __future__ import annotations

from threading import Thread, get_ident

import pytest
import trio

from tests.patience import PATIENCE
from wsframe.server.any_thread import Home, answered_to_any_thread, obeyed_from_any_thread


class Thing:
    def __init__(self) -> None:
        self.home = Home()
        self.ran_in: list[int] = []

    @obeyed_from_any_thread
    def obey(self, *, hard: bool = False) -> None:
        self.ran_in.append(get_ident())

    @answered_to_any_thread
    def answer(self, number: int) -> int:
        self.ran_in.append(get_ident())
        if number < 0:
            raise ValueError(number)
        return number + 1


async def test_a_method_runs_at_home_wherever_it_is_called() -> None:
    thing = Thing()
    assert thing.answer(1) == 2
    thing.obey(hard=True)
    assert await trio.to_thread.run_sync(thing.answer, 2) == 3
    await trio.to_thread.run_sync(thing.obey)
    while len(thing.ran_in) < 4:
        await trio.lowlevel.checkpoint()
    assert thing.ran_in == [get_ident()] * 4


async def test_an_error_is_raised_where_the_answer_was_awaited() -> None:
    thing = Thing()
    with pytest.raises(ValueError, match="-1"):
        await trio.to_thread.run_sync(thing.answer, -1)


def test_after_the_end_of_trio_an_order_is_lost_and_an_answer_is_given_at_once() -> None:
    things: list[Thing] = []

    async def main() -> None:
        things.append(Thing())

    thread = Thread(target=trio.run, args=(main,))
    thread.start()
    thread.join(PATIENCE)
    things[0].obey()
    assert things[0].answer(1) == 2
    assert things[0].ran_in == [get_ident()]
