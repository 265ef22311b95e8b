"""The end of a topic: which message is next, and which ones wait."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsframe.backplane import sequence
from wsframe.backplane.interface import Position
from wsframe.backplane.sequence import MOST_HELD, Tail, TailState


class Side:
    """A tail and all that it did."""

    def __init__(self, wanted: Position | None = None, *, begun: bool = True) -> None:
        self.got: list[object] = []
        self.tail: Tail[int] = Tail(self.got.append, lambda: self.got.append("ask"), lambda: self.got.append("tell"))
        if begun:
            self.tail.wanted(wanted)

    def send(self, *offsets: int, epoch: int = 1) -> None:
        for offset in offsets:
            self.tail.message(offset, Position(epoch, offset), 1)

    def fill(self, *offsets: int) -> None:
        assert self.tail.position is not None
        self.tail.filled((offset, Position(self.tail.position.epoch, offset)) for offset in offsets)


def test_messages_in_order_pass() -> None:
    side = Side(Position(1, 4))
    side.send(5, 6)
    side.tail.message(-1, None, 1)
    side.send(7)
    assert side.got == [5, 6, -1, 7]
    assert side.tail.position == Position(1, 7)


def test_the_first_message_of_a_topic_without_a_position_has_offset_1() -> None:
    side = Side()
    keeps = [side.tail.keeps]
    side.send(1, 2)
    assert side.got == [1, 2]
    assert [*keeps, side.tail.keeps] == [False, True]
    other = Side()
    other.send(3)
    assert other.got == ["ask"]
    assert other.tail.position == Position(1, 0)
    other.fill(1, 2, 3)
    assert other.got == ["ask", 1, 2, 3]


def test_a_hole_is_filled_before_the_message_behind_it() -> None:
    side = Side(Position(1, 0))
    side.send(1, 4)
    side.tail.message(-1, None, 1)
    side.send(5)
    assert side.got == [1, "ask"]
    side.fill(2, 3, 4)
    assert side.got == [1, "ask", 2, 3, 4, -1, 5]


def test_a_hole_that_cannot_be_filled_is_told_before_the_message_behind_it() -> None:
    side = Side(Position(1, 0))
    side.send(1, 4)
    side.tail.lost(Position(1, 4))
    side.send(5)
    assert side.got == [1, "ask", "tell"]
    side.tail.told()
    assert side.got == [1, "ask", "tell", 5]


def test_a_message_of_another_epoch_is_a_hole() -> None:
    side = Side(Position(1, 7))
    side.send(8, epoch=2)
    assert side.got == ["ask"]
    side.tail.lost(Position(2, 8))
    side.tail.told()
    side.send(9, epoch=2)
    assert side.got == ["ask", "tell", 9]


def test_a_gap_of_a_topic_with_history_is_asked_for_and_of_another_one_told() -> None:
    kept, plain = Side(Position(1, 3)), Side()
    for side in (kept, plain):
        side.tail.gap()
        side.tail.message(-1, None, 1)
    kept.fill()
    plain.tail.told()
    assert kept.got == ["ask", -1]
    assert plain.got == ["tell", -1]


def test_a_gap_while_hooks_are_told_drops_the_messages_before_it_and_is_told_next() -> None:
    side = Side()
    side.tail.gap()
    side.tail.message(-1, None, 1)
    side.tail.gap()
    side.tail.message(-2, None, 1)
    side.tail.told()
    assert side.got == ["tell", -2, "tell"] or side.got == ["tell", "tell"]
    side.tail.told()
    assert side.got[-1] in (-2, "tell")


def test_a_gap_while_the_engine_is_asked_is_asked_for_next() -> None:
    side = Side(Position(1, 0))
    side.tail.gap()
    side.tail.gap()
    side.send(3)
    side.fill(1)
    assert side.got == ["ask", 1, "ask"]
    side.fill(2, 3)
    assert side.got == ["ask", 1, "ask", 2, 3, "ask"]
    side.fill()
    assert side.tail.state is TailState.OPEN


def test_a_topic_that_is_wanted_again_elsewhere_is_compared() -> None:
    side = Side(Position(1, 5))
    side.tail.wanted(Position(1, 5))
    assert side.got == []
    side.tail.wanted(Position(1, 7))
    assert side.got == ["ask"]
    forgotten = Side(Position(1, 5))
    forgotten.tail.wanted(None)
    assert forgotten.got == ["ask"]
    new = Side()
    new.tail.wanted(Position(1, 2))
    assert (new.got, new.tail.position) == (["ask"], Position(1, 0))


@pytest.mark.parametrize(
    ("before", "newest", "asks"),
    [
        (Position(1, 5), Position(1, 5), False),
        (Position(1, 5), Position(1, 6), True),
        (Position(1, 5), Position(1, 4), True),
        (Position(1, 5), Position(2, 5), True),
        (None, Position(1, 0), False),
        (None, Position(1, 1), True),
    ],
)
def test_the_end_is_compared_with_the_engine(before: Position | None, newest: Position, asks: bool) -> None:
    side = Side(before)
    side.tail.check(before, newest)
    assert side.got == (["ask"] if asks else [])


def test_an_answer_that_is_older_than_our_position_is_no_loss() -> None:
    side = Side(Position(1, 5))
    side.send(6)
    side.tail.check(Position(1, 5), Position(1, 5))
    assert side.got == [6]


def test_nothing_is_compared_before_a_topic_is_wanted_or_while_it_waits() -> None:
    side = Side(begun=False)
    side.tail.check(None, Position(1, 9))
    assert side.tail.position is None
    side.tail.wanted(Position(1, 9))
    side.tail.gap()
    side.tail.check(Position(1, 9), Position(1, 12))
    assert side.got == ["ask"]


def test_a_message_that_cannot_be_read_is_told() -> None:
    side = Side(Position(1, 5))
    side.tail.unreadable(Position(1, 6))
    side.send(7)
    assert side.got == ["tell"]
    side.tail.told()
    assert side.got == ["tell", 7]
    plain = Side()
    plain.tail.unreadable(None)
    plain.tail.unreadable(None)
    plain.tail.told()
    assert plain.got == ["tell", "tell"]


def test_messages_that_wait_are_bounded_by_count_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    side = Side(Position(1, 0))
    side.send(*range(2, MOST_HELD + 5))
    side.fill(*range(1, MOST_HELD + 2))
    assert side.got == ["ask", *range(1, MOST_HELD + 2), "ask"]
    monkeypatch.setattr(sequence, "MOST_BYTES_HELD", 100)
    large = Side(Position(1, 0))
    for offset in (2, 3, 4):
        large.tail.message(offset, Position(1, offset), 60)
    large.fill(1, 2)
    assert large.got == ["ask", 1, 2, "ask"]
    large.fill(3, 4)
    assert large.got == ["ask", 1, 2, "ask", 3, 4]


class Engine:
    """A topic's engine, which keeps five messages, and forgets; messages are numbers in order."""

    def __init__(self) -> None:
        self.epoch = 1
        self.kept: deque[tuple[Position, int]] = deque(maxlen=5)
        self.newest = Position(1, 0)
        self.number = 0

    def publish(self) -> None:
        self.number += 1
        self.newest = Position(self.epoch, self.newest.offset + 1)
        self.kept.append((self.newest, self.number))

    def forget(self) -> None:
        self.epoch += 1
        self.newest = Position(self.epoch, 0)
        self.kept.clear()

    def answer(self, tail: Tail[int]) -> None:
        assert tail.position is not None
        later = [(message, position) for position, message in self.kept if position.offset > tail.position.offset]
        whole = tail.position.epoch == self.epoch and len(later) == self.newest.offset - tail.position.offset
        if whole:
            tail.filled(later)
        else:
            tail.lost(self.newest)


def step_on(step: str, engine: Engine, tail: Tail[int]) -> None:
    """Have one thing happen to a topic, over a link that loses messages."""
    if step in ("publish", "lose"):
        engine.publish()
        if step == "publish":
            tail.message(engine.number, engine.newest, 1)
    elif step in ("gap", "forget"):
        if step == "forget":
            engine.forget()
        tail.gap()
    elif step == "check":
        tail.check(tail.position, engine.newest)
    elif step == "again":
        tail.wanted(engine.newest)
    elif step == "answer" and tail.state is TailState.ASKING:
        engine.answer(tail)
    elif step == "told" and tail.state is TailState.TELLING:
        tail.told()


def settle(engine: Engine, tail: Tail[int]) -> None:
    """Answer until the topic waits for nothing."""
    while tail.state is not TailState.OPEN:
        if tail.state is TailState.ASKING:
            engine.answer(tail)
        else:
            tail.told()


STEPS = st.lists(
    st.sampled_from(["publish", "publish", "publish", "lose", "gap", "answer", "told", "forget", "check", "again"]),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_no_message_is_repeated_or_left_out_without_being_told(steps: list[str]) -> None:
    engine, side = Engine(), Side(Position(1, 0))
    for step in steps:
        step_on(step, engine, side.tail)
    settle(engine, side.tail)
    side.tail.check(side.tail.position, engine.newest)
    settle(engine, side.tail)
    last = 0
    told = False
    for one in side.got:
        if one == "tell":
            told = True
        elif isinstance(one, int):
            assert one > last
            assert one == last + 1 or told
            last, told = one, False
    assert last == engine.number or told
