"""The frames of one client in a row: counted, taken off the front, and out of the middle."""

from __future__ import annotations

from wsframe.connection.frame_queue import FEW, FRAMES_AT_ONCE, FrameQueue
from wsframe.connection.memory_budget import FRAME_COST
from wsframe.protocol.frames import BINARY, CLOSE, LARGE, PING, TEXT, Frame, control_frame, data_frame


def of(*frames: Frame) -> FrameQueue:
    waiting = FrameQueue()
    waiting.items += frames
    waiting.byte_count = sum(map(len, frames))
    return waiting


def test_each_frame_costs_its_bytes_and_its_object() -> None:
    waiting = of(b"12345", b"123")
    assert waiting.counted == waiting.weight == 8 + 2 * FRAME_COST


def test_a_frame_that_has_begun_to_leave_is_held_whole() -> None:
    waiting = of(b"12345", b"123")
    assert waiting._advance(2) == 0
    assert waiting.counted == 6 + 2 * FRAME_COST
    assert waiting.weight == waiting.counted + 2
    assert bytes(waiting._gather()) == b"345"


def test_frames_that_have_gone_are_cut_off_together() -> None:
    frames = [b"%03d" % number for number in range(4 * FEW)]
    waiting = of(*frames)
    for number in range(4 * FEW):
        assert waiting.items[waiting._start] == frames[number]
        if number < 4 * FEW - 1:
            assert waiting._advance(3) == 1
        assert waiting.counted == (3 + FRAME_COST) * (4 * FEW - number - (number < 4 * FEW - 1))
    assert len(waiting.items) <= 2 * FEW


def test_small_frames_are_joined_up_to_a_bound() -> None:
    many = of(*[b"x"] * (2 * FRAMES_AT_ONCE))
    assert len(many._gather()) == FRAMES_AT_ONCE
    assert len(of(*[b"x" * (LARGE // 2)] * 5)._gather()) == LARGE


def test_a_message_waits_behind_the_frame_that_has_begun_and_the_pings() -> None:
    ping, first, second = control_frame(PING, b""), data_frame(TEXT, b"one"), data_frame(BINARY, b"two")
    assert of(ping, ping, first)._behind_urgent() == 2
    begun = of(first, ping, second)
    begun._advance(1)
    assert begun._behind_urgent() == 2


def test_only_chosen_frames_stay_behind_the_one_that_has_begun() -> None:
    first, second, close = data_frame(TEXT, b"one"), data_frame(TEXT, b"two"), control_frame(CLOSE, b"")
    waiting = of(first, second, close)
    waiting._advance(2)
    waiting._keep([close])
    assert waiting.items == [first, close]
    assert waiting.byte_count == len(first) - 2 + len(close)
