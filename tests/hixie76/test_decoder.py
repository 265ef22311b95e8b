"""Version 0: frames that are read and discarded, ends, and bounds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hixie76.hixie_peer import CLOSING, announce, connect, discarded, receive, reference, streams, text
from tests.protocol.streams import chunked
from tests.weight import weight_of
from wsframe.hixie76.decoder import HixieDecoder
from wsframe.hixie76.outbox import HixieEncoder, text_frame
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits
from wsframe.protocol.close import State
from wsframe.protocol.deadlines import Due
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.events import Ended, Event
from wsframe.protocol.frames import TEXT

PEER_CLOSED = Ended(1005, "", clean=True, owed=True)
TOO_BIG = Ended(1009, "message too big", clean=False, answer=1009, owed=True)
LOST = Ended(1006, "connection lost", clean=False)
DATA_INSTEAD = Ended(1006, "data instead of a close frame", clean=False)


def test_texts_are_what_stands_between_their_bytes() -> None:
    connection = connect()
    assert receive(connection, text("") + text("grüß") + text("x" * 70_000)) == ["", "grüß", "x" * 70_000]
    assert (connection.byte_count, connection.special, connection.stopped) == (
        weight_of(["grüß", "x" * 70_000]),
        False,
        False,
    )


def test_what_is_not_utf8_is_replaced_as_the_draft_has_it() -> None:
    assert receive(connect(), b"\x00a\xc3(\xfe\xff") == ["a\ufffd(\ufffd"]


@pytest.mark.parametrize(
    "frame",
    [discarded(b""), discarded(b"\xff\x00" * 100), discarded(b"\x00x\xff", 0xFF), b"\x01text\xff", b"\x7f\xff"],
    ids=["empty", "long", "0xff-with-a-length", "type-1", "type-127"],
)
def test_frames_of_other_types_are_discarded(frame: bytes) -> None:
    connection = connect()
    assert receive(connection, frame + text("after")) == ["after"]
    assert (connection.byte_count, connection.undecoded) == (5, 0)


def test_a_discarded_frame_is_not_held() -> None:
    connection = connect()
    assert receive(connection, announce(5000) + bytes(4999)) == []
    assert connection.undecoded == 0
    assert receive(connection, b"\0" + text("next")) == ["next"]


def test_a_text_that_is_not_whole_is_counted() -> None:
    connection = connect()
    assert receive(connection, text("one") + b"\x00tw") == ["one"]
    assert connection.undecoded == 3
    assert receive(connection, b"o\xff") == ["two"]
    assert connection.undecoded == 0


@pytest.mark.parametrize("closing", [CLOSING, b"\xff\x80\x80\x00"])
def test_the_closing_handshake_ends_it_and_is_to_be_answered(closing: bytes) -> None:
    connection = connect()
    assert receive(connection, text("last") + closing + text("late")) == ["last", PEER_CLOSED]
    assert (connection.state, connection.special, connection.undecoded) == (State.CLOSED, True, 0)
    assert receive(connection, text("late")) == []
    assert connection.close() == connection.eof() == []


def test_an_end_without_it_is_not_clean() -> None:
    connection = connect()
    receive(connection, b"\x00half")
    assert connection.eof() == [LOST]
    assert (connection.undecoded, connection.eof()) == (0, [])


@pytest.mark.parametrize(
    "stream",
    [b"\x00" + b"x" * 11, text("x" * 11), b"\x01" + b"x" * 11, announce(11), announce(2**80), announce(11, 0xFF)],
)
@pytest.mark.parametrize("limits", [Limits(max_message=10), Limits(max_message=100, max_frame=10)])
def test_a_frame_over_the_limit_ends_it(stream: bytes, limits: Limits) -> None:
    assert receive(connect(limits), stream) == [TOO_BIG]


@pytest.mark.parametrize("stream", [text("x" * 10), discarded(b"x" * 10), b"\x01" + b"x" * 10 + b"\xff"])
def test_a_frame_of_the_limit_passes(stream: bytes) -> None:
    assert receive(connect(Limits(max_message=10)), stream + text("")) in ([""], ["x" * 10, ""])


def test_a_length_without_end_is_refused() -> None:
    """Leading zeros make no number greater."""
    assert receive(connect(), announce(0, zeros=8) + text("x")) == ["x"]
    assert receive(connect(), announce(0, zeros=9)) == [
        Ended(1002, "protocol error", clean=False, answer=1002, owed=True)
    ]


def test_room_bounds_what_is_read_discarded_frames_included() -> None:
    connection = connect()
    stream = discarded(b"") * 3 + text("a") + text("b")
    assert receive(connection, stream, room=3) == []
    assert (connection.stopped, connection.undecoded) == (True, 6)
    assert receive(connection, b"", room=1) == ["a"]
    assert receive(connection, b"", room=5) == ["b"]
    assert (connection.stopped, connection.undecoded) == (False, 0)


def test_after_our_closing_handshake_only_the_peers_is_looked_for() -> None:
    connection = connect()
    receive(connection, b"\x00half")
    assert connection.close() == []
    assert connection.state is State.CLOSING
    assert receive(connection, b"done\xff" + discarded(CLOSING) + text("late")) == []
    assert receive(connection, b"\xff") == []
    assert receive(connection, b"\x00") == [Ended(1005, "", clean=True)]
    assert connection.close() == []


def test_the_peers_closing_handshake_may_be_among_what_was_kept() -> None:
    connection = connect()
    assert receive(connection, text("a") + text("b") + CLOSING, room=1) == ["a"]
    assert connection.close() == [Ended(1005, "", clean=True)]
    assert (connection.stopped, connection.special) == (False, True)


@pytest.mark.parametrize("data", [text("x"), b"\x00" + b"x" * 30, discarded(b"x" * 8), announce(11)])
def test_data_instead_of_it_is_borne_up_to_a_message(data: bytes) -> None:
    connection = connect(Limits(max_message=10))
    connection.close()
    events: list[Event] = []
    for _ in range(11):
        events += receive(connection, data)
    assert events == [DATA_INSTEAD]


def test_what_was_kept_when_we_closed_counts() -> None:
    connection = connect(Limits(max_message=10))
    receive(connection, text("x" * 5) * 3, room=1)
    assert connection.close() == [DATA_INSTEAD]


def test_a_message_can_be_refused_before_it_is_decoded() -> None:
    connection = connect()
    asked: list[tuple[str, int, int]] = []

    def check(kind: str, frame_length: int, total_length: int) -> tuple[int, str] | None:
        asked.append((kind, frame_length, total_length))
        return (4000, "not that long") if frame_length > 3 else None

    connection.ask(check)
    refused = Ended(4000, "not that long", clean=False, answer=4000, owed=True)
    assert receive(connection, text("abc") + text("abcd") + text("x")) == ["abc", refused]
    assert asked == [("text", 3, 3), ("text", 4, 4)]


def test_nobody_is_pinged() -> None:
    deadlines = connect().deadlines
    assert deadlines.due(1e9) == []
    deadlines.close_by = 5.0
    assert deadlines.due(5.0) == [Due.CLOSE]


def test_it_has_the_interface_of_a_connection() -> None:
    def interface(kind: object) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert interface(HixieDecoder) == interface(Decoder) - {
        "inflate",
        "limits",
        "take_out",
        "between_messages",
    }  # of freezing
    assert HixieDecoder(DEFAULT_LIMITS, DEFAULT_TIMEOUTS, 0.0).state is State.OPEN


def run(chunks: list[bytes], rooms: Iterator[int], limits: Limits) -> list[Event]:
    connection = connect(limits)
    events: list[Event] = []
    for chunk in chunks:
        data = chunk
        while True:
            room = next(rooms)
            got = receive(connection, data, room)
            assert len(got) <= room
            assert connection.special is any(not isinstance(event, str) for event in got)
            assert connection.undecoded <= 25 + 2 + len(b"".join(chunks)) * connection.stopped
            events += got
            data = b""
            if not connection.stopped:
                break
    assert (connection.state is State.CLOSED) is any(isinstance(event, Ended) for event in events)
    return events


@settings(max_examples=1000)
@given(chunks=chunked(streams()), rooms=st.lists(st.sampled_from([1, 1, 2, 3, 100]), min_size=1, max_size=4))
def test_any_bytes_in_any_pieces_are_what_the_draft_makes_of_them(chunks: list[bytes], rooms: list[int]) -> None:
    def repeated() -> Iterator[int]:
        while True:
            yield from rooms

    assert run(chunks, repeated(), Limits(max_message=25)) == reference(b"".join(chunks), 25)


operations = st.lists(
    st.one_of(
        st.tuples(st.just("receive"), streams(), st.integers(-1, 3)),
        st.tuples(st.sampled_from(["close", "eof"]), st.just(b""), st.just(0)),
    ),
    max_size=8,
)


@settings(max_examples=500)
@given(operations)
def test_nothing_raises_in_any_state_and_nothing_follows_the_end(steps: list[tuple[str, bytes, int]]) -> None:
    connection = connect(Limits(max_message=25))
    ended = closing = False
    for name, data, room in steps:
        if name == "receive":
            events = receive(connection, data, room)
        else:
            closing |= name == "close"
            events = connection.close() if name == "close" else connection.eof()
        if events:
            assert not ended
            assert not closing or isinstance(events[0], Ended)
            assert not any(isinstance(event, Ended) for event in events[:-1])
            ended = isinstance(events[-1], Ended)
        assert (connection.state is State.CLOSED) is ended
        assert not connection.stopped or connection.state is State.OPEN


@pytest.mark.parametrize("frame_size", [None, 1])
@pytest.mark.parametrize("compress", [None, True])
def test_a_message_is_sent_as_one_frame_whatever_is_asked(frame_size: int | None, compress: bool | None) -> None:
    encoder = HixieEncoder()
    assert encoder.frames(TEXT, b"text", frame_size, compress, replaceable=False) == [b"\x00text\xff"]
    assert encoder.frames_for_all(TEXT, b"text", frame_size) == [b"\x00text\xff"]
    assert encoder.group(b"text", compress) == HixieEncoder().group(b"", None) is not None


@given(st.binary())
def test_no_bytes_given_as_text_break_out_of_their_frame(payload: bytes) -> None:
    """UTF-8 arrives as it is, other bytes as the draft's reader sees them."""
    frame = text_frame(payload)
    assert frame.index(b"\xff") == len(frame) - 1
    assert receive(connect(), frame + text("next")) == [payload.decode("utf-8", "replace"), "next"]
