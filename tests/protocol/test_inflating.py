"""Inflating the messages of a peer, and its cost."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import SERVER
from wsproto.connection import Connection as Engine
from wsproto.events import BytesMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason

from tests.client_frames import frame
from tests.wire import BINARY, CLOSE, CONTINUATION, FIN, PING, RSV1, TEXT
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, filled
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.deflate import COST_OF_TURN, InflateExtension, Terms
from wsframe.protocol.events import Ended, PingReceived

NAME = "permessage-deflate"
TAIL = b"\x00\x00\xff\xff"


def agreed(*, bits: int = 15, takeover: bool = True) -> Terms:
    return Terms(bits, bits, takeover, takeover, NAME)


def connection(*, takeover: bool = True, bits: int = 15, **limits: int) -> Decoder:
    """Make a connection whose peer may compress."""
    all_limits = filled(Limits(**limits), DEFAULT_LIMITS)
    inflate = InflateExtension(agreed(bits=bits, takeover=takeover), all_limits.max_message)
    return Decoder(all_limits, DEFAULT_TIMEOUTS, 0.0, inflate)


def packed(message: bytes, compressor: zlib._Compress | None = None) -> bytes:
    """Compress a message as a client does."""
    compressor = compressor or zlib.compressobj(wbits=-15)
    raw = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return raw[:-4]


def final(message: bytes) -> bytes:
    """Compress a message and mark its last block as the last of the stream (RFC 7692 section 7.2.3.4)."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(message) + compressor.flush() + b"\x00"


def fed(receiver: Decoder, *frames: bytes) -> list[object]:
    """Return the events of bytes that arrive together, in as many turns as it takes."""
    events: list[object] = list(receiver.receive(bytearray(b"".join(frames)), 1000))
    while receiver.stopped:
        events += receiver.receive(bytearray(), 1000)
    return events


def code(events: list[object]) -> int:
    assert isinstance(events[-1], Ended), events
    return int(events[-1].code)


def test_the_example_of_the_rfc() -> None:
    hello = bytes.fromhex("f248cdc9c90700")
    again = bytes.fromhex("f200110000")
    assert fed(connection(), frame(FIN | RSV1 | TEXT, hello), frame(FIN | RSV1 | TEXT, again)) == ["Hello", "Hello"]
    bfinal = bytes.fromhex("f348cdc9c9070000")
    assert fed(connection(), frame(FIN | RSV1 | TEXT, bfinal)) == ["Hello"]
    two_blocks = bytes.fromhex("f24805000000ffffcac9c90700")
    assert fed(connection(), frame(FIN | RSV1 | TEXT, two_blocks)) == ["Hello"]


@pytest.mark.parametrize("takeover", [True, False])
def test_the_limit_counts_what_is_inflated_and_is_exact(takeover: bool) -> None:
    receiver = connection(takeover=takeover, max_message=10_000)
    fits, bursts = packed(b"x" * 10_000), packed(b"x" * 10_001)
    if takeover:
        compressor = zlib.compressobj(wbits=-15)
        fits, bursts = packed(b"x" * 10_000, compressor), packed(b"x" * 10_001, compressor)
    assert fed(receiver, frame(FIN | RSV1 | BINARY, fits)) == [b"x" * 10_000]
    assert receiver.byte_count == 10_000
    assert code(fed(receiver, frame(FIN | RSV1 | BINARY, bursts))) == 1009


@pytest.mark.parametrize("size", [1_000, 100_000, 1_000_000])
def test_the_limit_is_exact_for_what_does_not_shrink(size: int) -> None:
    noise = os.urandom(size)
    assert len(packed(noise)) > size
    assert fed(connection(max_message=size), frame(FIN | RSV1 | BINARY, packed(noise))) == [noise]
    assert code(fed(connection(max_message=size - 1), frame(FIN | RSV1 | BINARY, packed(noise)))) == 1009


def test_the_wire_is_bounded_too() -> None:
    """Empty blocks inflate to nothing, for as long as one likes to send them."""
    empty = b"\x00" + TAIL
    assert code(fed(connection(max_message=1000), frame(FIN | RSV1 | BINARY, empty * 300))) == 1009
    assert code(fed(connection(max_message=1000), frame(FIN | BINARY, b"x" * 1001))) == 1009


def test_the_limit_holds_across_fragments_with_control_frames_between() -> None:
    raw = packed(b"x" * 10_001)
    half = len(raw) // 2
    frames = (frame(RSV1 | BINARY, raw[:half]), frame(FIN | PING, b"?"), frame(FIN | CONTINUATION, raw[half:]))
    assert fed(connection(max_message=10_001), *frames) == [PingReceived(b"?"), b"x" * 10_001]
    assert code(fed(connection(max_message=10_000), *frames)) == 1009


@pytest.mark.parametrize("takeover", [True, False])
def test_final_blocks_end_the_stream_but_not_the_connection(takeover: bool) -> None:
    receiver = connection(takeover=takeover)
    messages = [b"first " * 50, b"", b"second " * 9]
    assert fed(receiver, *(frame(FIN | RSV1 | BINARY, final(message)) for message in messages)) == messages
    several = final(b"a" * 70_000)[:-1] + final(b"b")[:-1] + final(b"c" * 65_536)
    assert fed(receiver, frame(FIN | RSV1 | BINARY, several)) == [b"a" * 70_000 + b"b" + b"c" * 65_536]
    assert fed(receiver, frame(FIN | RSV1 | BINARY, packed(b"third"))) == [b"third"]


def test_with_takeover_the_window_survives_a_final_block() -> None:
    receiver, message = connection(), os.urandom(500)
    assert fed(receiver, frame(FIN | RSV1 | BINARY, final(message))) == [message]
    compressor = zlib.compressobj(wbits=-15, zdict=message)
    raw = packed(message, compressor)
    assert len(raw) < 50
    assert fed(receiver, frame(FIN | RSV1 | BINARY, raw)) == [message]


def test_empty_messages() -> None:
    receiver = connection()
    compressor = zlib.compressobj(wbits=-15)
    for _ in range(3):
        assert fed(receiver, frame(FIN | RSV1 | TEXT, packed(b"", compressor) or b"\x00")) == [""]
    assert fed(receiver, frame(RSV1 | TEXT), frame(CONTINUATION), frame(FIN | CONTINUATION, b"\x00")) == [""]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ((frame(FIN | RSV1 | BINARY, b"\xff" * 20),), 1007),
        ((frame(FIN | RSV1 | TEXT, packed(b"\xc3\x28")),), 1007),
        ((frame(FIN | RSV1 | TEXT, packed("é".encode()[:1])),), 1007),
        ((frame(FIN | RSV1 | PING),), 1002),
        ((frame(FIN | RSV1 | CLOSE, b"\x03\xe8"),), 1002),
        ((frame(BINARY), frame(FIN | RSV1 | CONTINUATION, packed(b"x"))), 1002),
        ((frame(RSV1 | BINARY, packed(b"x")), frame(FIN | RSV1 | CONTINUATION, b"\x00")), 1002),
        ((frame(FIN | 0x20 | BINARY),), 1002),
        ((frame(FIN | RSV1 | 0x10 | BINARY, packed(b"x")),), 1002),
    ],
)
def test_violations(frames: Iterable[bytes], expected: int) -> None:
    assert code(fed(connection(), *frames)) == expected


def test_without_an_agreement_nothing_may_be_compressed() -> None:
    plain = Decoder(DEFAULT_LIMITS, DEFAULT_TIMEOUTS, 0.0)
    assert code(fed(plain, frame(FIN | RSV1 | BINARY, packed(b"x")))) == 1002


def test_between_messages_the_window_alone_is_held() -> None:
    for takeover in (True, False):
        inflate = InflateExtension(agreed(takeover=takeover), 1000)
        receiver = Decoder(DEFAULT_LIMITS, DEFAULT_TIMEOUTS, 0.0, inflate)
        assert fed(receiver, frame(FIN | TEXT, b"plain"), frame(TEXT, b"p"), frame(FIN | CONTINUATION)) == [
            "plain",
            "p",
        ]
        assert inflate._inflater is None
        assert fed(receiver, frame(FIN | RSV1 | TEXT, packed(b"packed"))) == ["packed"]
        assert inflate._inflater is None
        assert inflate.window == (b"packed" if takeover else b"")


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("parts", [1, 3])
def test_a_compressed_message_of_no_bytes_is_an_empty_message(takeover: bool, parts: int) -> None:
    """Mojolicious and Haskell's websockets send an empty message so."""
    receiver, compressor = connection(takeover=takeover), zlib.compressobj(wbits=-15)
    nothing = [frame(RSV1 | TEXT)] + [frame(CONTINUATION)] * (parts - 2) + [frame(FIN | CONTINUATION)]
    for text in ("hello", "hello", "again"):
        raw = packed(text.encode(), compressor if takeover else None)
        empty = [frame(FIN | RSV1 | TEXT)] if parts == 1 else nothing
        assert fed(receiver, frame(FIN | RSV1 | TEXT, raw), *empty) == [text, ""]


@pytest.mark.parametrize("takeover", [True, False])
def test_the_end_of_a_message_is_found_however_its_sender_writes_it(takeover: bool) -> None:
    """With the tail that should be left out, and without the byte that goes behind the last block of a stream."""
    receiver, compressor = connection(takeover=takeover), zlib.compressobj(wbits=-15)
    for message in (b"one " * 9, b"two " * 9, b"one " * 9):
        compressor = compressor if takeover else zlib.compressobj(wbits=-15)
        raw = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
        assert fed(receiver, frame(FIN | RSV1 | BINARY, raw)) == [message]
        assert fed(receiver, frame(FIN | RSV1 | BINARY, raw[:-4])) == [message] if not takeover else True
    assert fed(receiver, frame(FIN | RSV1 | BINARY, final(b"end")[:-1])) == [b"end"]
    assert fed(receiver, frame(FIN | RSV1 | BINARY, packed(b"next"))) == [b"next"]


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("left_out", [1, 2, 10])
def test_a_message_that_breaks_off_inside_a_block_is_refused(takeover: bool, left_out: int) -> None:
    raw = packed(b"the quick brown fox " * 3)
    ended = fed(connection(takeover=takeover), frame(FIN | RSV1 | BINARY, raw[:-left_out]))
    assert ended == [Ended(1007, "invalid compressed data", clean=False, answer=1007, owed=True)]


MANY_STREAMS = [b"\x03\x00", b"\x4b\x04\x00", b"\x01\x00\x00\xff\xff", final(b"x" * 100)[:-1]]


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("stream", MANY_STREAMS)
def test_a_frame_of_nothing_but_ends_of_streams_is_refused(stream: bytes, takeover: bool) -> None:
    """Each costs its sender two bytes and the server an inflater."""
    ended = fed(connection(takeover=takeover), frame(FIN | RSV1 | BINARY, stream * 10_000))
    assert ended == [Ended(1008, "too many compressed streams in a frame", clean=False, answer=1008, owed=True)]


def test_a_stream_for_each_kibibyte_is_taken() -> None:
    noise = [os.urandom(1024) for _ in range(200)]
    raw = b"".join(final(part)[:-1] for part in noise)
    assert fed(connection(), frame(FIN | RSV1 | BINARY, raw)) == [b"".join(noise)]
    parts = [final(part)[:-1] for part in noise]
    frames = [frame(CONTINUATION if at else RSV1 | BINARY, part) for at, part in enumerate(parts)]
    assert fed(connection(), *frames, frame(FIN | CONTINUATION)) == [b"".join(noise)]


def turns(receiver: Decoder, raw: bytes, extension: InflateExtension) -> list[int]:
    """Receive all at once, and return the cost of inflating in each turn."""
    costs, spent = [], [0]
    extension._inflate = spy(extension, spent)  # type: ignore[method-assign, assignment]
    receiver.receive(bytearray(raw), 1000)
    costs.append(spent.pop())
    while receiver.stopped:
        spent.append(0)
        receiver.receive(bytearray(), 1000)
        costs.append(spent.pop())
    return costs


def spy(extension: InflateExtension, spent: list[int]) -> Callable[[bytes], bytes | CloseReason]:
    inflate = extension._inflate

    def counted(data: bytes) -> bytes | CloseReason:
        before = extension.cost
        result = inflate(data)
        spent[-1] += extension.cost - before
        return result

    return counted


@pytest.mark.parametrize("max_message", [1 << 20, 1 << 26])
@pytest.mark.parametrize(
    "raw",
    [os.urandom(60_000), packed(b"\0" * (1 << 25)), (b"\x00" + TAIL) * 12_000, final(b"x" * 2000)[:-1] * 10],
    ids=["bytes that do not shrink", "a bomb", "empty blocks", "streams"],
)
def test_a_turn_inflates_so_much_and_no_more(raw: bytes, max_message: int) -> None:
    """However large a message may be: a turn is over when it has taken about a millisecond."""
    if len(raw) == 60_000:
        raw = packed(raw)
    inflate = InflateExtension(agreed(), max_message)
    receiver = Decoder(filled(Limits(max_message=max_message), DEFAULT_LIMITS), DEFAULT_TIMEOUTS, 0.0, inflate)
    costs = turns(receiver, frame(FIN | RSV1 | BINARY, raw), inflate)
    assert max(costs) < 3 * COST_OF_TURN
    assert len(costs) >= sum(costs) // COST_OF_TURN // 3


messages_strategy = st.lists(
    st.tuples(st.binary(max_size=40).map(lambda piece: piece * 9), st.booleans(), st.integers(1, 3)), max_size=8
)


@given(messages_strategy, st.booleans(), st.integers(9, 15), st.data())
def test_any_mixture_in_any_pieces_comes_out_as_it_went_in(
    messages: list[tuple[bytes, bool, int]], takeover: bool, bits: int, data: st.DataObject
) -> None:
    compressor, frames = None, []
    for message, compress, count in messages:
        if compressor is None or not takeover:
            compressor = zlib.compressobj(wbits=-bits)
        payload = packed(message, compressor) if compress else message
        step = len(payload) // count + 1
        parts = [payload[at : at + step] for at in range(0, len(payload), step)] or [b""]
        for at, part in enumerate(parts):
            first = CONTINUATION if at else (RSV1 * compress | BINARY)
            frames.append(frame(first | FIN * (at == len(parts) - 1), part))
    raw = b"".join(frames)
    receiver, events = connection(takeover=takeover, bits=bits), []
    while raw:
        size, room = data.draw(st.integers(1, 200)), data.draw(st.integers(1, 3))
        events += receiver.receive(bytearray(raw[:size]), room)
        raw = raw[size:]
        while receiver.stopped:
            events += receiver.receive(bytearray(), room)
    assert events == [message for message, _, _ in messages]


@given(st.lists(st.binary(max_size=300).map(lambda piece: piece * 5), max_size=6), st.booleans())
def test_it_agrees_with_wsproto_itself(messages: list[bytes], takeover: bool) -> None:
    theirs = PerMessageDeflate(client_no_context_takeover=not takeover)
    theirs._enabled = True
    engine, compressor = Engine(SERVER, [theirs]), zlib.compressobj(wbits=-15)
    raw = b""
    for message in messages:
        raw += frame(FIN | RSV1 | BINARY, packed(message, compressor if takeover else None))
    engine.receive_data(raw)
    seen: list[bytes] = []
    for event in engine.events():
        assert isinstance(event, BytesMessage)
        seen.append(bytes(event.data))
    assert seen == fed(connection(takeover=takeover), raw) == messages


TOLD = Terms(15, 15, False, False, NAME, told=True)


def said(number: int) -> bytes:
    return b'{"type": "message", "number": %d, "text": "hello all"}' % number


def test_a_context_kept_against_our_word_is_read() -> None:
    """Clients of Mojolicious do not read client_no_context_takeover in our answer."""
    inflate, compressor = InflateExtension(TOLD, 1 << 20), zlib.compressobj(wbits=-15)
    receiver = Decoder(DEFAULT_LIMITS, DEFAULT_TIMEOUTS, 0.0, inflate)
    for number in range(1000):
        raw = packed(said(number), compressor)
        assert fed(receiver, frame(RSV1 | TEXT, raw[:5]), frame(FIN | CONTINUATION, raw[5:])) == [said(number).decode()]
    assert len(inflate.window) == 1 << 15


def test_once_a_client_shows_that_it_keeps_no_context_none_is_held_of_it() -> None:
    inflate = InflateExtension(TOLD, 1 << 20)
    receiver = Decoder(DEFAULT_LIMITS, DEFAULT_TIMEOUTS, 0.0, inflate)
    assert fed(receiver, frame(FIN | RSV1 | BINARY, packed(said(0)))) == [said(0)]
    assert inflate.window == said(0)
    for number in range(1, 4):
        assert fed(receiver, frame(FIN | RSV1 | BINARY, packed(said(number)))) == [said(number)]
        assert inflate.window == b""


@pytest.mark.parametrize(
    "message", [said(0)[:15], said(0)[:16] + os.urandom(2000), b"x" * 100, b"other" + said(0), b"", b"\0" * 17]
)
def test_only_a_message_that_would_refer_to_earlier_ones_shows_it(message: bytes) -> None:
    """One of a compressor with its context, which is stored, new or short, is no sign that there is none."""
    compressor, receiver = (
        zlib.compressobj(wbits=-15),
        Decoder(DEFAULT_LIMITS, DEFAULT_TIMEOUTS, 0.0, InflateExtension(TOLD, 1 << 20)),
    )
    for part in (said(0), message, said(0), message, said(1)):
        assert fed(receiver, frame(FIN | RSV1 | BINARY, packed(part, compressor))) == [part]


@given(
    st.lists(st.binary(max_size=40).map(lambda piece: piece * 3) | st.sampled_from([said(0), b"a" * 20]), max_size=12),
    st.integers(-1, 9),
    st.booleans(),
)
def test_whether_a_client_obeys_or_not_every_message_is_read(messages: list[bytes], level: int, obeys: bool) -> None:
    receiver = Decoder(DEFAULT_LIMITS, DEFAULT_TIMEOUTS, 0.0, InflateExtension(TOLD, 1 << 20))
    compressor = zlib.compressobj(level, wbits=-15)
    for message in messages:
        compressor = zlib.compressobj(level, wbits=-15) if obeys else compressor
        assert fed(receiver, frame(FIN | RSV1 | BINARY, packed(message, compressor))) == [message]
