"""The search for the peer's close frame, by itself."""

from __future__ import annotations

import pytest

from tests.protocol import peer
from wsframe.protocol.close_seeker import CloseSeeker
from wsframe.protocol.events import Ended

CLOSED = Ended(4000, "bye", clean=True)
CLOSE = peer.close(4000, b"bye")


@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_frames_are_skipped_however_they_are_cut(size: int) -> None:
    seeker = CloseSeeker(1000, masked=True)
    stream = peer.frame(peer.TEXT, b"t" * 130) + peer.frame(peer.PING) + CLOSE
    ends = [seeker.seek(bytearray(stream[at : at + size])) for at in range(0, len(stream), size)]
    assert ends[-1] == CLOSED
    assert not any(ends[:-1])


def test_it_begins_inside_a_frame_or_inside_a_header() -> None:
    assert CloseSeeker(1000, owed=3, masked=True).seek(bytearray(b"\x88\x80x" + CLOSE)) == CLOSED
    assert CloseSeeker(1000, prefix=CLOSE[:4], masked=True).seek(bytearray(CLOSE[4:])) == CLOSED


def test_a_peer_that_only_sends_data_ends_at_the_limit() -> None:
    seeker = CloseSeeker(20, masked=True)
    piece = peer.frame(peer.BINARY, b"1234")
    assert [seeker.seek(bytearray(piece)) for _ in range(2)] == [None, None]
    assert seeker.seek(bytearray(piece)) == Ended(1006, "data instead of a close frame", clean=False)


@pytest.mark.parametrize("frame", [peer.close(1005), peer.frame(peer.CLOSE, b"x"), peer.frame(peer.CLOSE, mask=None)])
def test_a_close_frame_that_breaks_a_rule_is_an_end_too(frame: bytes) -> None:
    assert CloseSeeker(1000, masked=True).seek(bytearray(frame)) == Ended(1006, "malformed close frame", clean=False)
