"""One connection: messages, control frames, early failures, room and the end."""

from __future__ import annotations

import pytest

from tests.protocol import peer
from tests.weight import weight_of
from wsframe.protocol.close import CloseCode, State
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.events import Ended, Event, PingReceived, PongReceived


def broken(rule: str) -> Ended:
    return Ended(1002, rule, clean=False, answer=1002, owed=True)


INVALID_REASON = Ended(1007, "invalid UTF-8 in a close frame", clean=False, answer=1007, owed=True)
INVALID = Ended(CloseCode.INVALID_PAYLOAD, "invalid UTF-8", clean=False, answer=1007, owed=True)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 1023, 1024, 65535, 65536])
def test_a_whole_frame_is_a_message(length: int) -> None:
    connection = peer.connect()
    stream = peer.frame(peer.TEXT, b"t" * length) + peer.frame(peer.BINARY, b"b" * length)
    assert peer.receive(connection, stream) == ["t" * length, b"b" * length]
    assert (connection.byte_count, connection.special, connection.stopped) == (2 * length, False, False)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 1023, 1024, 65535, 65536, 2**20])
@pytest.mark.parametrize("opcode", [peer.TEXT, peer.BINARY])
def test_a_whole_frame_within_the_limits_never_costs_an_engine(
    opcode: int, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs a tenth of the time in the lane; results alone would not show that the lane is out of use."""
    monkeypatch.setattr("wsframe.protocol.slow_lane.Engine", None)
    stream = peer.announce(opcode, length, mask=bytes(4)) + b"x" * length
    assert len(peer.receive(peer.connect(), stream * 2)) == 2


def test_a_large_binary_frame_waits_outside_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsframe.protocol.slow_lane.Engine", None)
    stream = peer.announce(peer.BINARY, 1000, mask=bytes(4)) + b"x" * 1000
    connection = peer.connect()
    assert peer.receive(connection, stream[:14]) == []
    assert peer.feed(connection, stream[14:], 100) == [b"x" * 1000]


@pytest.mark.parametrize(
    "message", ["", "ascii", "grüß", "€", "x" * 1000 + "€", "x" * 1000 + "\U0001f600", b"", b"1234"]
)
def test_messages_are_counted_as_what_they_take_in_memory(message: str | bytes) -> None:
    """One emoji makes a text take four bytes for each character."""
    opcode, payload = (peer.TEXT, message.encode()) if isinstance(message, str) else (peer.BINARY, message)
    connection = peer.connect()
    peer.receive(connection, peer.frame(opcode, payload))
    assert connection.byte_count == weight_of([message])
    peer.receive(connection, peer.frame(opcode, payload, fin=False) + peer.frame(peer.CONTINUATION, b"$"))
    assert connection.byte_count == weight_of([message + "$" if isinstance(message, str) else message + b"$"])
    peer.receive(connection, peer.frame(peer.PING, b"not a message"))
    assert connection.byte_count == 0


@pytest.mark.parametrize("size", [1, 2, 5, 13, 1000])
def test_fragments_are_joined_with_control_frames_between(size: int) -> None:
    """A character may be split between fragments (RFC 6455 section 5.6)."""
    euro = "€".encode()
    stream = b"".join(
        [
            peer.frame(peer.TEXT, b"a" + euro[:1], fin=False),
            peer.frame(peer.PING, b"p"),
            peer.frame(peer.CONTINUATION, euro[1:2], fin=False),
            peer.frame(peer.PONG, b"q"),
            peer.frame(peer.CONTINUATION, euro[2:] + b"z"),
            peer.frame(peer.BINARY, b"x", fin=False),
            peer.frame(peer.CONTINUATION, b"y"),
        ]
    )
    expected: list[Event] = [PingReceived(b"p"), PongReceived(b"q"), "a€z", b"xy"]
    assert peer.feed(peer.connect(), stream, size) == expected


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_an_empty_message_in_fragments_is_a_message(size: int) -> None:
    stream = peer.frame(peer.TEXT, fin=False) + peer.frame(peer.CONTINUATION)
    assert peer.feed(peer.connect(), stream + stream.replace(b"\x01", b"\x02", 1), size) == ["", b""]


def test_special_says_whether_there_is_anything_but_messages() -> None:
    connection = peer.connect()
    peer.receive(connection, peer.frame(peer.PONG))
    assert connection.special
    peer.receive(connection, peer.frame(peer.TEXT, b"x"))
    assert not connection.special


def test_the_peers_close_ends_the_connection_and_is_owed_an_answer() -> None:
    connection = peer.connect()
    ended = Ended(3000, "bye", clean=True, answer=3000, owed=True)
    assert peer.receive(connection, peer.close(3000, b"bye")) == [ended]
    assert connection.special
    assert connection.state is State.CLOSED


def test_a_close_without_a_code_is_answered_without_one() -> None:
    assert peer.settle(peer.close()) == Ended(1005, "", clean=True, answer=None, owed=True)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param(peer.frame(peer.CLOSE, b"\x03"), broken("a close frame of one byte"), id="close with half a code"),
        pytest.param(
            peer.close(1006), broken("close code 1006 must not be sent"), id="close with a code that is never sent"
        ),
        pytest.param(peer.close(0), broken("close code 0 must not be sent"), id="close with the code 0"),
        pytest.param(peer.close(1005), broken("close code 1005 must not be sent"), id="close with the code 1005"),
        pytest.param(peer.frame(peer.CLOSE, fin=False), broken("a control frame in fragments"), id="half a close"),
        pytest.param(peer.close(1000, b"\xff"), INVALID_REASON, id="close with a reason that is not UTF-8"),
        pytest.param(peer.frame(peer.TEXT, b"\xff"), INVALID, id="text that is not UTF-8"),
        pytest.param(peer.frame(peer.TEXT, b"\xe2\x82"), INVALID, id="text that ends inside a character"),
        pytest.param(peer.frame(peer.TEXT, b"x", mask=None), broken("a frame without a mask"), id="no mask"),
        pytest.param(
            peer.frame(peer.BINARY, b"x", reserved=4), broken("reserved bits are set"), id="the first reserved bit"
        ),
        pytest.param(
            peer.frame(peer.BINARY, b"x", reserved=2), broken("reserved bits are set"), id="the second reserved bit"
        ),
        pytest.param(
            peer.frame(peer.PING, b"x", reserved=1), broken("reserved bits are set"), id="the third reserved bit"
        ),
        pytest.param(
            peer.frame(peer.CONTINUATION, b"x"),
            broken("a continuation without a message"),
            id="continuation of nothing",
        ),
        pytest.param(
            peer.frame(peer.PING, fin=False), broken("a control frame in fragments"), id="a control frame in fragments"
        ),
        pytest.param(
            peer.frame(peer.PING, b"x" * 126), broken("a control frame above 125 bytes"), id="a control frame too long"
        ),
        pytest.param(
            peer.frame(peer.BINARY, b"x" * 9, form=2),
            broken("a length that is not written the shortest way, or above 2**63 - 1"),
            id="two bytes of length too many",
        ),
        pytest.param(
            peer.frame(peer.BINARY, b"x" * 300, form=8),
            broken("a length that is not written the shortest way, or above 2**63 - 1"),
            id="six bytes of length too many",
        ),
        pytest.param(
            peer.frame(peer.TEXT, b"x", fin=False) + peer.frame(peer.TEXT, b"y"),
            broken("a message inside another"),
            id="a message inside another",
        ),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_violation_ends_the_connection_with_its_code(stream: bytes, expected: Ended, size: int) -> None:
    """The phrase is fixed: a decoder's own words would tell a stranger about its insides."""
    connection = peer.connect()
    assert peer.feed(connection, peer.frame(peer.TEXT, b"good") + stream, size) == ["good", expected]
    assert connection.state is State.CLOSED
    assert peer.receive(connection, peer.frame(peer.TEXT, b"late")) == []


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_an_invalid_opcode_fails_after_two_bytes(opcode: int) -> None:
    connection = peer.connect()
    assert peer.receive(connection, bytes((0x80 | opcode,))) == []
    assert peer.receive(connection, b"\x85") == [broken(f"unknown opcode {opcode}")]
    assert peer.settle(bytes((0x80 | opcode, 0x85))) == broken(f"unknown opcode {opcode}")


@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    ("good", "bad"), [(b"ok", b"\xff"), (b"ok\xc3", b"\x28"), (b"\xed\xa0", b"\x80"), (b"\xf4", b"\x90")]
)
def test_invalid_utf_8_fails_with_the_byte_that_makes_it_so(good: bytes, bad: bytes, size: int, fin: bool) -> None:
    """The frame announces much more, which never comes. CPython waits for the third byte of a surrogate."""
    connection = peer.connect()
    header = peer.announce(peer.TEXT, 5000, mask=bytes(4), fin=fin)
    assert peer.feed(connection, header + good, size) == []
    assert peer.receive(connection, bad) == [INVALID]


def test_invalid_utf_8_fails_within_a_later_fragment() -> None:
    connection = peer.connect()
    stream = peer.frame(peer.TEXT, b"\xce", fin=False) + peer.announce(peer.CONTINUATION, 100, mask=bytes(4))
    assert peer.receive(connection, stream) == []
    assert peer.receive(connection, b"a") == [INVALID]


def test_room_leaves_the_rest_for_later_without_more_bytes() -> None:
    """N + 1 tiny messages in one read: N, then the rest, which the kernel will never announce."""
    connection = peer.connect()
    stream = b"".join(peer.frame(peer.TEXT, b"%d" % at) for at in range(5))
    assert peer.receive(connection, stream, room=4) == ["0", "1", "2", "3"]
    assert (connection.stopped, connection.byte_count) == (True, 4)
    assert peer.receive(connection, b"", room=4) == ["4"]
    assert not connection.stopped
    assert peer.receive(connection, b"", room=4) == []


def test_room_that_is_used_up_exactly_is_no_stop() -> None:
    connection = peer.connect()
    assert peer.receive(connection, peer.frame(peer.TEXT, b"x") * 3, room=3) == ["x"] * 3
    assert not connection.stopped


@pytest.mark.parametrize("room", [0, -1])
def test_no_room_keeps_everything(room: int) -> None:
    connection = peer.connect()
    assert peer.receive(connection, peer.frame(peer.TEXT, b"x"), room) == []
    assert connection.stopped
    assert peer.receive(connection, peer.frame(peer.TEXT, b"y")) == ["x", "y"]


def test_events_take_room_too() -> None:
    """A flood of pings is read no faster than there is room."""
    connection = peer.connect()
    stream = peer.frame(peer.PING, b"1") + peer.frame(peer.PING, b"2") + peer.close(1000)
    assert peer.receive(connection, stream, room=1) == [PingReceived(b"1")]
    assert peer.receive(connection, b"", room=1) == [PingReceived(b"2")]
    assert (connection.state, connection.stopped) == (State.OPEN, True)
    assert peer.receive(connection, b"", room=1) == [Ended(1000, "", clean=True, answer=1000, owed=True)]
    assert not connection.stopped


def test_room_stops_inside_a_fragmented_message() -> None:
    connection = peer.connect()
    parts = [peer.frame(peer.TEXT, b"a", fin=False), peer.frame(peer.PING), peer.frame(peer.CONTINUATION, b"b")]
    assert peer.receive(connection, b"".join(parts), room=1) == [PingReceived(b"")]
    assert connection.stopped
    assert peer.receive(connection, b"", room=1) == ["ab"]


def test_eof_ends_once_and_forgets_what_was_kept() -> None:
    connection = peer.connect()
    assert peer.receive(connection, peer.frame(peer.TEXT, b"x") * 2, room=1) == ["x"]
    assert (connection.state, connection.stopped) == (State.OPEN, True)
    assert connection.eof() == [Ended(CloseCode.ABNORMAL_CLOSURE, "connection lost", clean=False)]
    assert (connection.state, connection.stopped) == (State.CLOSED, False)
    assert connection.eof() == peer.receive(connection, b"") == []


def test_an_idle_connection_keeps_no_engine() -> None:
    """10 000 idle clients do without its 1.7 KiB each: control frames and fragments leave nothing behind."""

    def parts(connection: Decoder) -> dict[str, object]:
        names = [name for name in Decoder.__slots__ if name not in ("byte_count", "deadlines", "special")]
        return {name: getattr(connection, name) for name in names}

    connection = peer.connect()
    fresh = parts(connection)
    stream = peer.frame(peer.PING, b"x") + peer.frame(peer.TEXT, fin=False) + peer.frame(peer.CONTINUATION, b"x")
    assert len(peer.feed(connection, stream)) == 2
    assert parts(connection) == fresh


PINGS = [peer.frame(peer.PING, payload) for payload in (b"", b"p", bytes(125))]
OTHERS = [
    b"", PINGS[1][:-1], PINGS[1] * 2, PINGS[0] + peer.frame(peer.TEXT, b"t"), peer.frame(peer.PONG, b"p"),
    peer.frame(peer.CLOSE), peer.frame(peer.TEXT, b"t"), b"\x89\x01p", b"\x09" + PINGS[1][1:], b"\xc9" + PINGS[1][1:],
    b"\x89\xfe\x00\x01" + bytes(5),
]  # fmt: skip


@pytest.mark.parametrize("stream", PINGS)
def test_a_ping_alone_is_taken_as_the_long_way_takes_it(stream: bytes) -> None:
    payload = peer.connect().lone_ping(bytearray(stream))
    assert payload is not None
    assert peer.connect().receive(bytearray(stream), 10) == [PingReceived(payload)]


@pytest.mark.parametrize("stream", OTHERS)
def test_anything_but_a_ping_alone_goes_the_long_way(stream: bytes) -> None:
    connection = peer.connect()
    assert connection.lone_ping(bytearray(stream)) is None if stream else True
    assert (connection.undecoded, connection.between_messages) == (0, True)


@pytest.mark.parametrize("before", [peer.frame(peer.TEXT, b"t", fin=False), peer.frame(peer.BINARY, b"b" * 9)[:7]])
def test_a_ping_behind_a_part_of_something_goes_the_long_way(before: bytes) -> None:
    connection = peer.connect()
    assert peer.receive(connection, before) == []
    assert connection.lone_ping(bytearray(PINGS[1])) is None


def test_a_ping_behind_a_close_frame_is_not_answered() -> None:
    connection = peer.connect()
    connection.close()
    assert connection.lone_ping(bytearray(PINGS[1])) is None
