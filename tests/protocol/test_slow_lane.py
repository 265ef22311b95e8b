"""Frames through wsproto, one at a time, by themselves."""

from __future__ import annotations

import pytest

from tests.protocol import peer
from wsframe.limits import DEFAULT_LIMITS
from wsframe.protocol.events import Ended, Event, PingReceived
from wsframe.protocol.slow_lane import SlowLane


def lane() -> SlowLane:
    return SlowLane(DEFAULT_LIMITS, None, None, masked=True)


def test_it_takes_one_frame_and_is_done_between_messages() -> None:
    one = lane()
    first, second = peer.frame(peer.TEXT, b"ab", fin=False), peer.frame(peer.CONTINUATION, b"cd")
    data = bytearray(first + second + peer.frame(peer.TEXT))
    assert one.feed(data, 0) == (len(first), [])
    assert (one.done, one.weight) == (False, 2)
    assert one.feed(data, len(first)) == (len(first + second), ["abcd"])
    assert (one.done, one.weight) == (True, 0)


@pytest.mark.parametrize("cut", [1, 2, 4, 7])
def test_half_a_frame_is_not_done(cut: int) -> None:
    one, frame = lane(), peer.frame(peer.PING, b"hi")
    found: list[Event] = []
    for piece in (frame[:cut], frame[cut:]):
        stop, events = one.feed(bytearray(piece), 0)
        assert stop == len(piece)
        found += events
        assert one.done == (piece is not frame and bool(found))
    assert found == [PingReceived(b"hi")]


def test_a_close_frame_in_pieces_is_unread_until_it_is_whole() -> None:
    one, frame = lane(), peer.close(1014, b"no gateway")
    assert one.feed(bytearray(frame[:9]), 0) == (9, [])
    assert one.unread == (frame[:9], 0)
    assert one.feed(bytearray(frame[9:]), 0)[1] == [Ended(1014, "no gateway", clean=True, answer=1014, owed=True)]


def test_a_violation_is_named() -> None:
    (ended,) = lane().feed(bytearray(peer.frame(peer.CONTINUATION, b"x")), 0)[1]
    assert ended == Ended(1002, "a continuation without a message", clean=False, answer=1002, owed=True)
