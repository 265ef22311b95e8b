"""Plain fragments go without wsproto, and any other frame hands their message over to it unchanged."""

from __future__ import annotations

import pytest

from tests.protocol import peer
from wsframe.limits import DEFAULT_LIMITS, Limits
from wsframe.protocol.events import Ended, Event, PingReceived
from wsframe.protocol.fragment_lane import FRAGMENTS_AT_ONCE, FragmentLane
from wsframe.protocol.slow_lane import SlowLane

TEXT, BINARY, CONTINUATION = peer.TEXT, peer.BINARY, peer.CONTINUATION


def fragments(*parts: bytes, opcode: int = TEXT, fin: bool = True) -> bytes:
    """Make a message of several frames; without ``fin`` its last one is to come."""
    return b"".join(
        peer.frame(CONTINUATION if at else opcode, part, fin=fin and at == len(parts) - 1, mask=b"ab%dd" % (at % 10))
        for at, part in enumerate(parts)
    )


@pytest.mark.usefixtures("no_wsproto")
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 1000, 100_000])
def test_fragments_in_any_pieces_go_without_wsproto(size: int) -> None:
    parts = [b"x" * 300, "größer€".encode()[:3], "größer€".encode()[3:], b"", b"y" * 70_000, b"end"]
    stream = fragments(*parts) + fragments(b"\xff", b"\xfe", opcode=BINARY)
    events = peer.feed(peer.connect(Limits()), stream, size)
    assert events == [b"".join(parts).decode(), b"\xff\xfe"]


@pytest.mark.usefixtures("no_wsproto")
def test_control_frames_between_fragments_are_seen_at_once() -> None:
    connection = peer.connect(Limits())
    assert peer.receive(connection, fragments(b"a", fin=False) + peer.frame(peer.PING, b"now")) == [
        PingReceived(b"now")
    ]
    assert peer.receive(connection, peer.frame(CONTINUATION, b"b")) == ["ab"]


@pytest.mark.usefixtures("no_wsproto")
def test_the_payload_so_far_is_counted() -> None:
    connection = peer.connect(Limits())
    whole = fragments(b"x" * 1000, b"y" * 1000, fin=False)
    peer.receive(connection, whole[:1500])
    assert 1400 < connection.undecoded < 1500
    peer.receive(connection, whole[1500:])
    assert connection.undecoded == 2000
    assert peer.receive(connection, peer.frame(CONTINUATION, b"")) == ["x" * 1000 + "y" * 1000]
    assert connection.undecoded == 0


def ended(events: list[Event]) -> tuple[int, str]:
    (event,) = events
    assert isinstance(event, Ended)
    return event.code, event.reason


@pytest.mark.parametrize(
    ("limits", "last", "code"),
    [
        (Limits(max_fragments=3), fragments(b"c", opcode=CONTINUATION), 1009),
        (Limits(max_message=5), fragments(b"cccc", opcode=CONTINUATION), 1009),
        (Limits(max_frame=3), fragments(b"cccc", opcode=CONTINUATION), 1009),
        (Limits(), fragments(b"c"), 1002),
        (Limits(), peer.frame(CONTINUATION, b"c", reserved=4), 1002),
        (Limits(), peer.frame(CONTINUATION, b"c", mask=None), 1002),
        (Limits(), peer.frame(CONTINUATION, b"c", form=2), 1002),
        (Limits(), fragments(b"\xff", opcode=CONTINUATION), 1007),
    ],
)
def test_wsproto_judges_a_frame_that_is_not_plain(limits: Limits, last: bytes, code: int) -> None:
    alone = peer.connect(limits)
    alone.ask(lambda kind, frame, total: None)  # the lane sees no message of a client whose resource checks headers
    begin = fragments(b"a", b"b", b"", fin=False)
    expected = ended(peer.feed(alone, begin + last, 1))
    assert expected[0] == code
    for size in (1, 2, 1000):
        assert ended(peer.feed(peer.connect(limits), begin + last, size)) == expected


def test_wrong_text_is_refused_before_its_frame_is_whole() -> None:
    connection = peer.connect(Limits())
    begin = fragments(b"ok \xc3", fin=False)
    assert peer.receive(connection, begin + peer.frame(CONTINUATION, b"\xa4" + b"x" * 50)[:-20]) == []
    assert ended(peer.receive(peer.connect(Limits()), begin + peer.frame(CONTINUATION, b"\x28" + b"x" * 50)[:-20])) == (
        1007,
        "invalid UTF-8",
    )


@pytest.mark.parametrize("cut", range(1, 16))
def test_a_check_that_comes_in_the_middle_sees_the_rest_of_the_message(cut: int) -> None:
    seen: list[tuple[str, int, int]] = []
    connection = peer.connect(Limits(max_frame=5))
    stream = fragments("äb".encode()[:1], "äb".encode()[1:], b"cdefg")
    assert peer.receive(connection, stream[:cut]) == []
    connection.ask(lambda kind, frame, total: seen.append((kind, frame, total)))
    assert peer.receive(connection, stream[cut:]) == ["äbcdefg"]
    assert seen == [("text", 1, 1), ("text", 2, 3), ("text", 5, 8)][-len(seen) :]
    assert len(seen) == (3 if cut < 6 else 2 if cut < 13 else 1) or cut in (6, 13)


def test_a_turn_ends_after_some_fragments_and_goes_on_where_it_was() -> None:
    connection = peer.connect(Limits(max_fragments=100_000))
    data, turns, events = bytearray(fragments(*[b"x"] * (5 * FRAGMENTS_AT_ONCE))), 0, list[Event]()
    while not events:
        events = connection.receive(data, 10)
        data, turns = bytearray(), turns + 1
        assert connection.stopped is not bool(events)
    assert events == ["x" * (5 * FRAGMENTS_AT_ONCE)]
    assert turns == 3


def test_a_lane_without_a_message_hands_nothing_over() -> None:
    lane = FragmentLane(DEFAULT_LIMITS, masked=True)
    slow = SlowLane(DEFAULT_LIMITS, None, None, masked=True)
    lane.hand_over(slow)
    assert slow.done
