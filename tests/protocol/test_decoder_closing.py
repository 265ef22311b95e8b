"""After our own close: everything is discarded but the peer's close frame (RFC 6455 section 5.5.1)."""

from __future__ import annotations

import pytest

from tests.protocol import peer
from wsframe.limits import Limits
from wsframe.protocol.close import CloseCode, State
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.events import Ended, Event

ANSWERED = Ended(4001, "späte", clean=True)
ANSWER = peer.close(4001, "späte".encode())
# The payloads hold bytes that look like close frames: reading them as frames would be seen.
BAIT = b"\x88\x82abcd\x88\x00\x88"
STREAM = b"".join(
    [
        peer.frame(peer.TEXT, b"whole"),
        peer.frame(peer.BINARY, BAIT * 20, mask=bytes(4)),
        peer.frame(peer.BINARY, BAIT, mask=bytes(4), fin=False),
        peer.frame(peer.PING, BAIT, mask=bytes(4)),
        peer.frame(peer.CONTINUATION, BAIT, mask=bytes(4), fin=False),
        peer.frame(peer.CONTINUATION, BAIT * 3, mask=bytes(4)),
        ANSWER,
    ]
)


def closing() -> Decoder:
    connection = peer.connect()
    assert connection.close() == []
    assert connection.state is State.CLOSING
    return connection


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 1000])
def test_the_peers_close_is_found_wherever_ours_falls_and_however_the_rest_is_cut(size: int) -> None:
    """Our close comes after every byte of the stream in turn: after a half-received frame, header or close."""
    for at in range(len(STREAM) + 1):
        connection = peer.connect()
        before = peer.receive(connection, STREAM[:at])
        after = connection.close() + peer.feed(connection, STREAM[at:], size)
        if at == len(STREAM):  # the peer was first
            assert before[-1] == ANSWERED._replace(answer=4001, owed=True)
            assert after == []
        else:
            assert not any(isinstance(event, Ended) for event in before)
            assert after == [ANSWERED], f"our close after {at} bytes"
        assert connection.state is State.CLOSED


@pytest.mark.parametrize("room", [1, 2, 3])
def test_the_peers_close_is_found_among_the_bytes_kept_for_want_of_room(room: int) -> None:
    connection = peer.connect()
    assert len(peer.receive(connection, STREAM, room)) == room
    assert (connection.state, connection.stopped) == (State.OPEN, True)
    assert connection.close() == [ANSWERED]
    assert (connection.state, connection.stopped) == (State.CLOSED, False)


def test_the_bytes_kept_are_joined_with_what_comes() -> None:
    """The peer's close begins among the bytes kept, at every cut, and ends in the next ones."""
    messages = peer.frame(peer.TEXT, b"1") + peer.frame(peer.TEXT, b"2")
    for cut in range(1, len(ANSWER)):
        connection = peer.connect()
        assert peer.receive(connection, messages + ANSWER[:cut], room=1) == ["1"]
        assert connection.close() == []
        assert peer.receive(connection, ANSWER[cut:]) == [ANSWERED]


@pytest.mark.parametrize("fin", [True, False], ids=["in the lane", "in the engine"])
def test_a_half_received_frame_is_skipped_over_many_reads(fin: bool) -> None:
    """Its payload must not be taken for frames, however many reads it takes."""
    stream = peer.frame(peer.BINARY, ANSWER * 40, mask=bytes(4), fin=fin)
    connection = peer.connect()
    assert peer.receive(connection, stream[:14]) == []
    assert connection.close() == []
    assert peer.feed(connection, stream[14:], 10) == []
    assert peer.receive(connection, ANSWER) == [ANSWERED]


def test_a_frame_that_begins_while_closing_is_skipped_over_many_reads() -> None:
    connection = closing()
    assert peer.feed(connection, peer.frame(peer.BINARY, ANSWER * 40, mask=bytes(4)), 10) == []
    assert peer.receive(connection, ANSWER) == [ANSWERED]


@pytest.mark.parametrize("size", [1, 1000])
def test_while_closing_a_broken_data_frame_is_no_event(size: int) -> None:
    """We have closed already: there is nothing left to fail."""
    broken = [
        peer.frame(peer.TEXT, b"\xff"),
        peer.frame(peer.CONTINUATION, b"no message"),
        peer.frame(peer.BINARY, b"x", mask=None),
        peer.frame(peer.BINARY, b"x", reserved=7),
        peer.frame(3, b"x"),
    ]
    assert peer.feed(closing(), b"".join(broken) + ANSWER, size) == [ANSWERED]


def test_a_close_without_a_code_is_clean_and_1005() -> None:
    assert peer.receive(closing(), peer.close()) == [Ended(CloseCode.NO_STATUS_RECEIVED, "", clean=True)]


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(peer.frame(peer.CLOSE, b"\x03"), id="half a code"),
        pytest.param(peer.close(1005), id="a code that is never sent"),
        pytest.param(peer.close(1000, b"\xff"), id="no UTF-8"),
        pytest.param(peer.frame(peer.CLOSE, b"\x03\xe8", mask=None), id="no mask"),
        pytest.param(peer.frame(peer.CLOSE, b"\x03\xe8", fin=False), id="no FIN"),
        pytest.param(peer.frame(peer.CLOSE, b"\x03\xe8", reserved=4), id="a reserved bit"),
        pytest.param(peer.announce(peer.CLOSE, 126), id="too long, from its header"),
    ],
)
def test_a_malformed_close_frame_ends_the_connection_without_a_handshake(frame: bytes, size: int) -> None:
    expected: list[Event] = [Ended(CloseCode.ABNORMAL_CLOSURE, "malformed close frame", clean=False)]
    assert peer.feed(closing(), frame, size) == expected


@pytest.mark.parametrize("tail", [b"", b"\x82", b"\x88\x85abc"], ids=["nothing", "half a header", "half a close"])
def test_at_most_the_message_limit_is_discarded(tail: bytes) -> None:
    """A peer that goes on sending is given up, whatever its last bytes look like."""
    payload = 1000 - 8 - len(tail)
    connection = peer.connect(Limits(max_message=1000))
    connection.close()
    assert peer.receive(connection, peer.frame(peer.BINARY, b"x" * payload, mask=bytes(4)) + tail) == []
    assert (connection.state, connection.stopped) == (State.CLOSING, False)
    ended = peer.receive(connection, b"\x05" if tail else b"\x82")
    assert ended == [Ended(CloseCode.ABNORMAL_CLOSURE, "data instead of a close frame", clean=False)]
    assert connection.state is State.CLOSED


def test_many_small_reads_are_added_up() -> None:
    connection = peer.connect(Limits(max_message=1000))
    connection.close()
    frame = peer.frame(peer.TEXT, b"xxxx")
    events = peer.feed(connection, frame * 101, 9)
    assert [event.clean for event in events if isinstance(event, Ended)] == [False]


def test_a_close_frame_beyond_the_bound_in_the_same_read_still_counts() -> None:
    connection = peer.connect(Limits(max_message=1000))
    connection.close()
    assert peer.receive(connection, peer.frame(peer.TEXT, b"x" * 1000) + ANSWER) == [ANSWERED]


def test_the_end_is_special() -> None:
    """So the caller sorts it out from the messages."""
    connection = closing()
    assert peer.receive(connection, ANSWER) == [ANSWERED]
    assert connection.special


def test_closing_twice_does_nothing_and_eof_ends_it() -> None:
    connection = closing()
    assert connection.close() == []
    assert connection.state is State.CLOSING
    assert connection.eof() == [Ended(CloseCode.ABNORMAL_CLOSURE, "connection lost", clean=False)]
    assert connection.eof() == connection.close() == peer.receive(connection, ANSWER) == []


def test_closing_after_the_end_brings_nothing() -> None:
    connection = peer.connect()
    assert peer.receive(connection, ANSWER) == [ANSWERED._replace(answer=4001, owed=True)]
    assert connection.close() == []
    assert connection.state is State.CLOSED
