"""The fast lane by itself: it takes plain frames and leaves all others where they are. Its twin in C does the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.links import Language, function, languages
from tests.protocol.peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, frame
from wsframe.protocol.events import Ended, Event, PingReceived, PongReceived
from wsframe.protocol.fast_lane import check_text, read_control, weigh


@pytest.fixture(params=languages())
def read(request: pytest.FixtureRequest) -> Callable[..., Any]:
    language: Language = request.param
    return function("read_messages", language)


def test_whole_messages_are_taken_until_there_is_no_room(read: Callable[..., Any]) -> None:
    data = bytearray(frame(TEXT, b"one") + frame(BINARY, b"two") + frame(TEXT, b"three"))
    messages: list[Event] = []
    at, weight, missing = read(data, 0, 2, 100, True, messages)
    assert messages == ["one", b"two"]
    assert (at, weight, missing) == (len(data) - len(frame(TEXT, b"three")), 6, 0)
    assert read(data, at, 3, 100, True, messages) == (len(data), 5, 0)
    assert messages == ["one", b"two", "three"]


def test_a_message_that_is_not_whole_says_how_long_it_will_be(read: Callable[..., Any]) -> None:
    whole = frame(TEXT, b"x" * 200)
    messages: list[Event] = []
    assert read(bytearray(whole[:-1]), 0, 9, 1000, True, messages) == (0, 0, len(whole))
    assert messages == []


@pytest.mark.parametrize(
    "raw",
    [
        frame(TEXT, b"part", fin=False),
        frame(CONTINUATION, b"part"),
        frame(PING, b""),
        frame(CLOSE, b""),
        frame(TEXT, b"reserved", reserved=4),
        frame(TEXT, b"unmasked", mask=None),
        frame(TEXT, b"\xff"),
        frame(TEXT, b"x" * 101),
        frame(TEXT, b"x", form=2),
        frame(TEXT, b"x" * 200, form=8),
    ],
)
def test_other_frames_stay_where_they_are(raw: bytes, read: Callable[..., Any]) -> None:
    messages: list[Event] = []
    assert read(bytearray(frame(TEXT, b"before") + raw), 0, 9, 100, True, messages)[0] == len(frame(TEXT, b"before"))
    assert messages == ["before"]


def test_frames_of_a_server_have_no_mask(read: Callable[..., Any]) -> None:
    messages: list[Event] = []
    read(bytearray(frame(TEXT, b"plain", mask=None)), 0, 9, 100, False, messages)
    assert messages == ["plain"]


def test_text_beyond_ascii_weighs_what_its_object_takes() -> None:
    assert weigh(b"1234") == weigh("1234") == 4
    assert weigh("ä") > 1
    assert weigh("😀" * 100) >= 400


@pytest.mark.parametrize(
    ("raw", "event"),
    [
        (frame(PING, b"a"), PingReceived(b"a")),
        (frame(PONG, b"b"), PongReceived(b"b")),
        (close(), Ended(1005, "", clean=True, answer=None, owed=True)),
        (close(4000, b"bye"), Ended(4000, "bye", clean=True, answer=4000, owed=True)),
        (frame(CLOSE, b"x"), Ended(1002, "a close frame of one byte", clean=False, answer=1002, owed=True)),
        (close(1006), Ended(1002, "close code 1006 must not be sent", clean=False, answer=1002, owed=True)),
        (close(1000, b"\xff"), Ended(1007, "invalid UTF-8 in a close frame", clean=False, answer=1007, owed=True)),
    ],
)
def test_control_frames_become_events(raw: bytes, event: Event) -> None:
    assert read_control(bytearray(raw), 0, True) == (event, len(raw))


@pytest.mark.parametrize(
    "raw",
    [
        frame(PING, b"a")[:-1],
        frame(PING, b"a", fin=False),
        frame(PING, b"x" * 126),
        frame(PING, b"a", mask=None),
        frame(11, b""),
        frame(TEXT, b"a"),
    ],
)
def test_control_frames_that_break_a_rule_or_are_not_whole_are_left(raw: bytes) -> None:
    assert read_control(bytearray(raw), 0, True) is None


def test_text_is_checked_as_far_as_it_has_come() -> None:
    whole = bytearray(frame(TEXT, "aä€".encode()))
    start = len(whole) - 6
    assert check_text(whole[: start + 2], 0, 0) == start + 1, "half a character waits for its rest"
    assert check_text(whole[: start + 3], 0, start + 1) == start + 3
    assert check_text(whole, 0, start + 3) == len(whole)
    assert check_text(bytearray(frame(TEXT, b"a\xff")), 0, 0) == -1
    assert check_text(bytearray(frame(BINARY, b"a\xff")), 0, 7) == 7
