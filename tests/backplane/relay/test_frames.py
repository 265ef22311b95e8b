"""The messages between a worker and its relay, as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.backplane.interface import History, Kept, Position
from wsframe.backplane.queue import Gap, Message, Reach, Run, Wanted
from wsframe.backplane.relay.frames import (
    ASK,
    CROWDED,
    FLAG,
    GAP,
    LENGTH,
    LONGEST,
    MESSAGE,
    PUBLISH,
    REACH,
    WANTED,
    FrameReader,
    MalformedFrame,
    RelayFrame,
    RunReader,
    frame,
    history_of,
    json_frame,
    kept_from,
    kept_to,
    position_of,
    publish_frame,
    report_frame,
)

FRAMES = [
    publish_frame("t", b"payload", None, b"a"),
    publish_frame("ü", b"", History(messages=3, seconds=1.5, bytes=1 << 33), b"a"),
    json_frame(ASK, {"id": 1, "method": "newest", "arguments": ["t"]}),
    report_frame(Message("t", b"\0" * 1_000, "node", Position(2**63, 7))),
    report_frame(Wanted("t", None)),
    report_frame(Gap(None)),
    report_frame(Reach(True)),
    report_frame(Reach(False, True)),
]


def read(data: bytes) -> list[RelayFrame]:
    return FrameReader().feed(data)


@given(st.lists(st.integers(0, len(b"".join(FRAMES)))))
def test_frames_are_read_in_any_pieces(cuts: list[int]) -> None:
    data, reader, got = b"".join(FRAMES), FrameReader(), []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        got += reader.feed(data[start:end])
    assert got == read(data)
    assert [one.kind for one in got] == [MESSAGE, PUBLISH, ASK, MESSAGE, WANTED, GAP, REACH, REACH]


def test_a_published_message_has_the_bounds_of_its_history() -> None:
    plain, kept = read(FRAMES[0] + FRAMES[1])
    assert (plain.topic, plain.payload, plain.sender, position_of(plain)) == ("t", b"payload", b"a", None)
    assert (kept.topic, history_of(kept)) == ("ü", History(messages=3, seconds=1.5, bytes=1 << 33))


def test_reports_are_read_as_they_were() -> None:
    message, wanted, gap, up, away = read(b"".join(FRAMES[3:]))
    assert (up.flag, away.flag) == (0, FLAG | CROWDED)
    assert (message.topic, message.sender, position_of(message)) == ("t", b"node", Position(2**63, 7))
    assert (wanted.topic, position_of(wanted)) == ("t", None)
    assert not gap.flag
    assert read(report_frame(Gap("t")))[0].flag
    assert position_of(read(report_frame(Wanted("t", Position(0, 0))))[0]) == Position(0, 0)


def test_a_message_is_encoded_once() -> None:
    message = Message("t", b"x", "a", None)
    assert report_frame(message) is report_frame(message)


def test_a_message_is_published_in_the_bytes_in_which_it_is_passed_on() -> None:
    published = publish_frame("ü", b"x", None, b"a")
    assert published == report_frame(Message("ü", b"x", "a", None))
    (run,) = RunReader().feed(published)
    assert isinstance(run, Run)
    assert report_frame(run) is run.frames
    assert run.frames == published


MANY = [
    *(publish_frame("t", b"x" * size, None, b"a") for size in (3, 0, 300, 3)),
    publish_frame("tt", b"", None, b"a"),
    publish_frame("t", b"", None, b"ta"),
    publish_frame("t", b"", None, b"a"),
    publish_frame("t", b"x", History(), b"a"),
    publish_frame("t", b"x", None, b"a"),
    report_frame(Message("t", b"x", "a", Position(1, 2))),
    json_frame(ASK, {}),
    publish_frame("t", b"y", None, b"a"),
]


def test_messages_that_go_the_same_way_stay_in_one_piece() -> None:
    data = b"".join(MANY)
    got = RunReader().feed(data)
    assert [(one.topic, one.sender) for one in got if isinstance(one, Run)] == [
        ("t", b"a"), ("tt", b"a"), ("t", b"ta"), ("t", b"a"), ("t", b"a"), ("t", b"a"),
    ]  # fmt: skip
    assert got[0] == Run("t", b"a", b"".join(MANY[:4]))
    assert [one.kind for one in got if isinstance(one, RelayFrame)] == [PUBLISH, MESSAGE, ASK]


def taken_apart(got: list[RelayFrame | Run]) -> list[RelayFrame]:
    return [frame for one in got for frame in (read(one.frames) if isinstance(one, Run) else [one])]


@given(st.lists(st.sampled_from(MANY), max_size=30), st.lists(st.integers(0, 2_000)))
def test_runs_have_all_messages_in_order_in_any_pieces(frames: list[bytes], cuts: list[int]) -> None:
    data, reader, got = b"".join(frames), RunReader(), list[RelayFrame | Run]()
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        got += reader.feed(data[start:end])
    assert taken_apart(got) == read(data)


@pytest.mark.parametrize(
    "length", [0, 22, 23, LONGEST], ids=["empty", "without names", "without its sender", "too long"]
)
def test_a_frame_that_only_begins_as_the_one_before_is_refused(length: int) -> None:
    first = publish_frame("t", b"", None, b"a")
    with pytest.raises(MalformedFrame):
        RunReader().feed(first + LENGTH.pack(length) + first[LENGTH.size :] + bytes(100))


def test_kept_messages_survive_json() -> None:
    kept = [Kept(1, "a", bytes(range(256))), Kept(2, "b", b"")]
    (answer,) = read(json_frame(ASK, kept_to(kept)))
    assert kept_from(answer.json()) == kept
    assert kept_from(kept_to(None)) is None


@pytest.mark.parametrize(
    "data",
    [
        LENGTH.pack(LONGEST),
        LENGTH.pack(0),
        LENGTH.pack(21) + bytes(21),
        frame(ASK, topic="tt")[:-2] + b"\xff\xfe",
        LENGTH.pack(22) + b"\x01\x00\x05\x00" + bytes(18),
    ],
    ids=["too long", "empty", "short", "not UTF-8", "shorter than its topic"],
)
def test_bytes_that_are_no_frame_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedFrame):
        read(data)


@pytest.mark.parametrize("sender", [b"short", bytes(24)])
def test_bounds_of_a_history_that_are_none_are_refused(sender: bytes) -> None:
    (published,) = read(frame(PUBLISH, topic="t", sender=sender, flag=1))
    with pytest.raises(MalformedFrame):
        history_of(published)


def test_a_payload_that_is_no_json_is_refused() -> None:
    with pytest.raises(MalformedFrame):
        read(frame(ASK, b"{"))[0].json()


@given(st.binary())
def test_nothing_but_a_malformed_frame_is_raised(data: bytes) -> None:
    try:
        for one in read(LENGTH.pack(len(data)) + data):
            history_of(one)
            one.json()
        RunReader().feed(LENGTH.pack(len(data)) + data)
    except MalformedFrame:
        pass
