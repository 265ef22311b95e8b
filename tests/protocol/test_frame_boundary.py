"""Where frames begin in the bytes of a server, however they are cut into pieces."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.protocol.frame_boundary import FrameBoundary
from wsframe.protocol.frames import data_frames

HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
FRAMES = [b"\x81\x02hi", b"\x82\x7e\x00\x80" + bytes(128), b"\x89\x00", b"\x82\x7f" + (70_000).to_bytes(8, "big")]
FRAMES[-1] += bytes(70_000)


def after(data: bytes, *cuts: int) -> FrameBoundary:
    boundary = FrameBoundary(lambda: 7.0)
    places = [0, *sorted(cuts), len(data)]
    for begin, end in pairwise(places):
        boundary.follow(memoryview(data)[begin:end])
    return boundary


def test_a_frame_can_follow_the_head_and_each_frame() -> None:
    data = HEAD
    assert after(data).here
    for frame in FRAMES:
        data += frame
        assert after(data).here
        assert not after(data[:-1] if len(frame) > 2 else data + b"\x81").here


def test_it_notes_when_the_head_was_whole() -> None:
    assert after(HEAD[:-1]).opened_at == inf
    assert after(HEAD).opened_at == 7.0


@given(st.lists(st.integers(0, len(HEAD) + sum(map(len, FRAMES))), max_size=20))
def test_the_cuts_make_no_difference(cuts: list[int]) -> None:
    data = HEAD + b"".join(FRAMES)
    assert after(data, *cuts).here
    assert not after(data + b"\x81\x05hal", *cuts).here


def test_nothing_can_follow_a_part_of_the_head() -> None:
    assert not after(HEAD[:-1]).here
    assert not after(b"").here


def test_nothing_can_follow_a_close_frame() -> None:
    boundary = after(HEAD + b"\x88\x02\x03\xe8")
    assert boundary.closed
    assert not boundary.here


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\npage",
        b"HTTP/1.1 101 X\r\nSec-WebSocket-Location: ws://a/\r\n\r\n",
        HEAD + b"\x81\x82mask",
        b"HTTP/1.1 101 " + b"x" * 70_000,
        b"\x00\xff",
    ],
    ids=["page", "hixie-76", "masked", "endless head", "no head"],
)
def test_bytes_that_are_not_frames_of_a_server_are_followed_no_more(data: bytes) -> None:
    boundary = after(data)
    assert boundary.lost
    boundary.follow(memoryview(data))
    assert not boundary.here


def test_what_our_own_encoder_makes_is_followed() -> None:
    assert after(HEAD + b"".join(data_frames(1, b"x" * 300, 100))).here
