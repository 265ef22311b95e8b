"""The limits of frame, message and fragments: exact, in bytes, from the header, and nothing is allocated for them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from tests.protocol import peer
from wsframe.limits import Limits
from wsframe.protocol.close import CloseCode, State
from wsframe.protocol.events import Ended, Event, PingReceived
from wsframe.protocol.size_limits import SizeLimits

TOO_BIG = Ended(CloseCode.MESSAGE_TOO_BIG, "message too big", clean=False, answer=1009, owed=True)
KINDS = [pytest.param(peer.TEXT, "x".__mul__, id="text"), pytest.param(peer.BINARY, b"x".__mul__, id="binary")]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(("opcode", "message"), KINDS)
@pytest.mark.parametrize("limits", [Limits(max_message=200), Limits(max_frame=200)])
def test_a_frame_of_the_limit_passes_and_one_byte_more_is_refused(
    limits: Limits, opcode: int, message: Callable[[int], str | bytes], size: int
) -> None:
    assert peer.feed(peer.connect(limits), peer.frame(opcode, b"x" * 200), size) == [message(200)]
    assert peer.feed(peer.connect(limits), peer.frame(opcode, b"x" * 201), size) == [TOO_BIG]


@pytest.mark.parametrize("length", [201, 126 * 1024, 2**40, 2**63 - 1])
@pytest.mark.parametrize("opcode", [peer.TEXT, peer.BINARY])
def test_a_frame_too_big_is_refused_by_its_header_alone(opcode: int, length: int) -> None:
    """Even the masking key need not have come."""
    header = peer.announce(opcode, length, mask=None)
    header = bytes((header[0], header[1] | 0x80)) + header[2:]
    connection = peer.connect(Limits(max_message=200))
    assert peer.feed(connection, header[:-1]) == []
    assert peer.receive(connection, header[-1:]) == [TOO_BIG]


@pytest.mark.parametrize("length", [2**63, 2**64 - 1])
@pytest.mark.parametrize("opcode", [peer.TEXT, peer.BINARY])
def test_a_length_with_its_first_bit_set_is_no_length_whatever_the_limit(opcode: int, length: int) -> None:
    """RFC 6455 section 5.2."""
    for fin in (True, False):
        end = peer.settle(peer.announce(opcode, length, fin=fin), Limits(max_message=2**70))
        assert end.code == CloseCode.PROTOCOL_ERROR


def test_the_frame_limit_holds_below_the_message_limit() -> None:
    limits = Limits(max_message=100, max_frame=10)
    frames = [peer.frame(peer.BINARY, b"x" * 10, fin=False), peer.frame(peer.CONTINUATION, b"y" * 10)]
    assert peer.receive(peer.connect(limits), b"".join(frames)) == [b"x" * 10 + b"y" * 10]
    assert peer.settle(peer.frame(peer.BINARY, b"x" * 11), limits) == TOO_BIG
    assert peer.settle(frames[0] + peer.announce(peer.CONTINUATION, 11), limits) == TOO_BIG


def fragments(sizes: list[int], opcode: int = peer.BINARY) -> bytes:
    last = len(sizes) - 1
    return b"".join(
        peer.frame(peer.CONTINUATION if at else opcode, b"x" * size, fin=at == last) for at, size in enumerate(sizes)
    )


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(("opcode", "message"), KINDS)
def test_the_message_limit_counts_all_fragments_with_the_last(
    opcode: int, message: Callable[[int], str | bytes], size: int
) -> None:
    """In any pieces: wsproto looks at a header again for each byte that its masking key still lacks."""
    limits = Limits(max_message=100)
    assert peer.feed(peer.connect(limits), fragments([40, 40, 20], opcode), size) == [message(100)]
    assert peer.feed(peer.connect(limits), fragments([40, 40, 21], opcode), size) == [TOO_BIG]


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_the_number_of_fragments_is_exact(size: int) -> None:
    """Empty ones count, and control frames between do not."""
    limits = Limits(max_fragments=3)
    ping = peer.frame(peer.PING)
    first, last = peer.frame(peer.TEXT, fin=False), peer.frame(peer.CONTINUATION)
    middle = peer.frame(peer.CONTINUATION, fin=False)
    three = first + ping + middle + ping + last
    assert peer.feed(peer.connect(limits), three, size) == [PingReceived(b""), PingReceived(b""), ""]
    assert peer.feed(peer.connect(limits), first + middle + middle + last, size) == [TOO_BIG]


def test_a_fragment_too_many_is_refused_by_its_header() -> None:
    """The payload of the frame that goes beyond is never waited for."""
    connection = peer.connect(Limits(max_message=100))
    assert peer.receive(connection, peer.frame(peer.BINARY, b"x" * 90, fin=False)) == []
    assert peer.receive(connection, peer.announce(peer.CONTINUATION, 11)) == [TOO_BIG]


@pytest.mark.parametrize("size", [1, 1000])
def test_each_message_is_counted_anew(size: int) -> None:
    limits = Limits(max_message=100, max_fragments=2)
    stream = (fragments([60, 40]) + peer.frame(peer.BINARY, b"x" * 100)) * 3
    assert peer.feed(peer.connect(limits), stream, size) == [b"x" * 100] * 6


def test_sizes_are_bytes_not_characters() -> None:
    """Four characters of three bytes are twelve."""
    text = "€" * 4
    assert peer.receive(peer.connect(Limits(max_message=12)), peer.frame(peer.TEXT, text.encode())) == [text]
    assert peer.settle(peer.frame(peer.TEXT, text.encode()), Limits(max_message=11)) == TOO_BIG
    assert peer.settle(peer.announce(peer.TEXT, 12, fin=False), Limits(max_message=11)) == TOO_BIG


@pytest.mark.parametrize("size", [1, 1000])
def test_a_control_frame_is_not_refused_by_a_frame_limit(size: int) -> None:
    """A control frame has its own bound of 125 bytes."""
    limits = Limits(max_message=10, max_frame=10, max_fragments=1)
    stream = peer.frame(peer.PING, b"p" * 125) + peer.close(1000, b"r" * 123)
    expected: list[Event] = [PingReceived(b"p" * 125), Ended(1000, "r" * 123, clean=True, answer=1000, owed=True)]
    assert peer.feed(peer.connect(limits), stream, size) == expected


def test_messages_before_the_one_too_big_are_delivered() -> None:
    stream = peer.frame(peer.TEXT, b"good") + peer.announce(peer.TEXT, 2000)
    assert peer.receive(peer.connect(Limits(max_message=1000)), stream) == ["good", TOO_BIG]


def test_the_extension_that_measures_is_our_own_affair() -> None:
    """It acts without the peer having agreed to it, so it is never offered."""
    measures = SizeLimits(Limits())
    assert measures.enabled()
    assert measures.offer() is False


def held_after(pieces: list[bytes], limits: Limits) -> int:
    """Return the bytes of memory a connection holds after receiving these pieces."""
    connection = peer.connect(limits)
    peer.receive(connection, b"")
    arrays = [bytearray(piece) for piece in pieces]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        while arrays:
            connection.receive(arrays.pop(0), 1000)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert connection.state is State.OPEN
    return max(held, peak) - before


@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.parametrize("opcode", [peer.TEXT, peer.BINARY])
def test_a_header_that_announces_16_mib_allocates_nothing(opcode: int, fin: bool) -> None:
    """Ten bytes must not buy sixteen million."""
    header = peer.announce(opcode, 16 * 1024 * 1024, fin=fin)
    assert held_after([header], Limits(max_message=2**30)) < 16 * 1024


@pytest.mark.parametrize("opcode", [peer.TEXT, peer.BINARY])
@pytest.mark.parametrize("length", [2**20, 2**29])
def test_what_is_held_of_a_large_frame_is_what_has_come(opcode: int, length: int) -> None:
    """A quarter of a MiB has come: about that much can be held, with the spare room of a growing buffer."""
    piece = b"x" * 16 * 1024
    pieces = [peer.announce(opcode, length, mask=bytes(4)), *[piece] * 16]
    assert held_after(pieces, Limits(max_message=2**30)) < 2.5 * 16 * len(piece)


def test_what_is_kept_for_want_of_room_is_at_most_what_was_passed_in() -> None:
    """43 690 empty messages fit into one read; as events they would be a hundred times their bytes."""
    connection = peer.connect()
    data = bytearray(peer.frame(peer.TEXT) * 10_000)
    size = len(data)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        assert connection.receive(data, 5) == [""] * 5
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert connection.stopped
    assert held - before < size


@pytest.mark.parametrize("opcode", [peer.PING, peer.PONG])
def test_a_turn_takes_so_many_control_frames_whatever_room_there_is(opcode: int) -> None:
    """They cost their sender 6 bytes each, and one read holds ten thousand."""
    connection = peer.connect(Limits(max_queued_messages=100_000))
    stream = bytearray(peer.frame(opcode) * 1000 + peer.frame(peer.TEXT, b"x"))
    turns = [connection.receive(stream, 100_000)]
    while connection.stopped:
        turns.append(connection.receive(bytearray(), 100_000))
    assert [len(turn) for turn in turns] == [256, 256, 256, 233]
    assert turns[-1][-1] == "x"
