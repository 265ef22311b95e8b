"""The fast lane in front of wsproto changes nothing, and nothing a peer sends raises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol import peer
from tests.protocol.engine import reference
from tests.protocol.streams import chunked, controls, fragmented, streams
from tests.weight import weight_of
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, Timeouts, filled
from wsframe.protocol.close import State
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.events import Ended, Event
from wsframe.protocol.frames import frame_extent, unmask

LIMITS = [
    Limits(),
    Limits(max_message=25, max_frame=10, max_fragments=3),
    Limits(max_message=1000),
    Limits(max_message=2**70),
]


def comparable(events: list[Event]) -> list[Event]:
    """Leave out the fields that wsproto does not have: our phrase for a failure, and the close frame that we owe."""
    return [
        Ended(event.code, event.reason if event.clean else "", event.clean) if isinstance(event, Ended) else event
        for event in events
    ]


def bytes_of(events: list[Event]) -> int:
    return sum(len(event.encode() if isinstance(event, str) else event) for event in events if is_message(event))


def is_message(event: Event) -> bool:
    return isinstance(event, str | bytes)


def receive(connection: Decoder, data: bytes, room: int) -> list[Event]:
    """Receive once, and check the promises of every call."""
    events = connection.receive(bytearray(data), room)
    assert len(events) <= room
    assert connection.special is any(not is_message(event) for event in events)
    assert connection.byte_count == weight_of(events)
    assert not connection.stopped or (len(events) == room and connection.state is State.OPEN)
    return events


def run(chunks: list[bytes], rooms: Iterator[int], eager: Iterator[bool], limits: Limits) -> list[Event]:
    """Feed a connection; where it stops for want of room, go on at once or with the next chunk."""
    connection = peer.connect(limits)
    events: list[Event] = []
    for chunk in [*chunks, b""]:
        events += receive(connection, chunk, next(rooms))
        while connection.stopped and (chunk == b"" or next(eager)):
            events += receive(connection, b"", next(rooms))
    assert receive(connection, b"", 1) == []
    ended = any(isinstance(event, Ended) for event in events)
    assert connection.state is (State.CLOSED if ended else State.OPEN)
    if ended:
        assert receive(connection, peer.frame(peer.TEXT, b"late") + peer.close(1000), 9) == []
    return events


def repeated(values: list[int]) -> Iterator[int]:
    while True:
        yield from values


@settings(max_examples=1500)
@given(
    chunks=chunked(streams()),
    rooms=st.lists(st.sampled_from([1, 1, 2, 3, 100]), min_size=1, max_size=4),
    eager=st.lists(st.booleans(), min_size=1, max_size=3),
    limits=st.sampled_from(LIMITS),
)
def test_the_fast_lane_with_wsproto_is_wsproto_alone(
    chunks: list[bytes], rooms: list[int], eager: list[bool], limits: Limits
) -> None:
    """For any bytes in any pieces with any room: the same messages, events, end and code."""
    ours = run(chunks, repeated(rooms), map(bool, repeated([*map(int, eager), 1])), limits)
    assert comparable(ours) == reference(b"".join(chunks), limits)


@settings(max_examples=700)
@given(
    chunks=chunked(st.lists(fragmented() | controls | fragmented(), max_size=6).map(b"".join)),
    limits=st.sampled_from([*LIMITS, Limits(max_message=12, max_frame=1), Limits(max_fragments=1)]),
    masked=st.booleans(),
)
def test_fragments_without_wsproto_are_fragments_through_it(chunks: list[bytes], limits: Limits, masked: bool) -> None:
    """Messages in fragments with control frames between, good and bad text, in any pieces, at every limit."""
    stream = b"".join(chunks)
    if not masked:
        stream = b"".join(map(unmasked, whole_frames(stream)))
        chunks = [stream[at : at + 7] for at in range(0, len(stream), 7)]
    connection = Decoder(filled(limits, DEFAULT_LIMITS), filled(Timeouts(), DEFAULT_TIMEOUTS), 0.0, masked=masked)
    events: list[Event] = []
    for chunk in chunks:
        events += connection.receive(bytearray(chunk), 100)
    assert comparable(events) == reference(stream, limits, masked=masked)


def whole_frames(stream: bytes) -> Iterator[bytes]:
    """Yield each frame of a stream."""
    at = 0
    while at < len(stream):
        stop = at + sum(frame_extent(stream, at))
        yield stream[at:stop]
        at = stop


def unmasked(masked: bytes) -> bytes:
    """Take the mask off a frame."""
    header, _ = frame_extent(masked, 0)
    payload = unmask(masked[header:], masked[header - 4 : header])
    return bytes([masked[0], masked[1] & 0x7F]) + masked[2 : header - 4] + bytes(payload)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("length", [65535, 65536, 65537])
@pytest.mark.parametrize("opcode", [peer.TEXT, peer.BINARY])
def test_the_lane_reads_frames_of_every_length_form(opcode: int, length: int, size: int) -> None:
    """Lengths that the streams above leave out for their size."""
    stream = peer.frame(opcode, b"x" * length) + peer.frame(opcode, b"next")
    head, tail = stream[: 20 * size], stream[20 * size :]
    connection = peer.connect()
    assert comparable(peer.feed(connection, head, size) + peer.receive(connection, tail)) == reference(stream, Limits())


operations = st.lists(
    st.one_of(
        st.tuples(st.just("receive"), streams(), st.integers(-1, 3)),
        st.tuples(st.sampled_from(["close", "eof"]), st.just(b""), st.just(0)),
    ),
    max_size=8,
)


@settings(max_examples=500)
@given(operations, st.sampled_from(LIMITS))
def test_nothing_raises_in_any_state_and_nothing_follows_the_end(
    steps: list[tuple[str, bytes, int]], limits: Limits
) -> None:
    """receive, close and eof may come in any order, also after the end."""
    connection = peer.connect(limits)
    ended = closing = False
    for name, data, room in steps:
        if name == "receive":
            events = connection.receive(bytearray(data), room)
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


@settings(max_examples=500)
@given(before=chunked(streams()), after=chunked(streams()), cut=st.integers(0, 4))
def test_while_closing_only_the_end_is_reported(before: list[bytes], after: list[bytes], cut: int) -> None:
    connection = peer.connect()
    events = [event for chunk in before for event in peer.receive(connection, chunk, room=cut)]
    brought = connection.close()
    brought += [event for chunk in after for event in peer.receive(connection, chunk)]
    if connection.state is State.CLOSED and not any(isinstance(event, Ended) for event in events):
        assert len(brought) == 1
        assert isinstance(brought[0], Ended)
        assert (brought[0].owed, brought[0].answer) == (False, None)
    else:
        assert brought == []


def everything(connection: Decoder, chunks: list[bytes]) -> list[Event]:
    """Feed a connection; go on where its turn was over."""
    events: list[Event] = []
    for chunk in chunks:
        events += peer.receive(connection, chunk)
        while connection.stopped:
            events += peer.receive(connection, b"")
    return events


@given(chunks=chunked(streams()), limits=st.sampled_from(LIMITS))
def test_a_check_that_takes_every_frame_changes_nothing(chunks: list[bytes], limits: Limits) -> None:
    asked: list[tuple[str, int, int]] = []
    plain, checked = peer.connect(limits), peer.connect(limits)
    checked.ask(lambda *frame: asked.append(frame))
    taken = everything(checked, chunks)
    assert taken == everything(plain, chunks)
    most = filled(limits, DEFAULT_LIMITS).max_message
    assert all(length <= total <= most for _, length, total in asked), "a frame beyond a limit is not asked about"
    assert bytes_of(taken) <= sum(length for _, length, _ in asked)
    assert {"text" if isinstance(event, str) else "binary" for event in taken if is_message(event)} <= {
        kind for kind, _, _ in asked
    }
