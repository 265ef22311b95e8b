"""Whole compressed messages are the same without wsproto and through it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol import peer
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, filled
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.deflate import Deflate, Deflater, InflateExtension, Terms
from wsframe.protocol.events import Ended, Event

COMPRESSED = 4
"""The reserved bits of a compressed message."""


def packed(message: bytes, *, level: int = 6) -> bytes:
    compressor = zlib.compressobj(level, wbits=-15)
    return (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def decoder(limits: Limits, *, takeover: bool = True, masked: bool = True) -> Decoder:
    all_limits = filled(limits, DEFAULT_LIMITS)
    inflate = InflateExtension(Terms(15, 15, takeover, takeover, ""), all_limits.max_message)
    return Decoder(all_limits, DEFAULT_TIMEOUTS, 0.0, inflate, masked=masked)


def all_events(connection: Decoder, chunks: list[bytes]) -> list[Event]:
    events: list[Event] = []
    for chunk in chunks:
        events += connection.receive(bytearray(chunk), 100)
        while connection.stopped:
            events += connection.receive(bytearray(), 100)
    return events


@pytest.mark.usefixtures("no_wsproto")
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("takeover", [True, False])
def test_whole_messages_go_without_wsproto(masked: bool, takeover: bool) -> None:
    sender = Deflater(Terms(15, 15, takeover, takeover, ""), Deflate.dedicated(threshold=0))
    messages: list[bytes] = [b"", b"x", b"spam and spam " * 300, "gr\u00f6\u00dfer ".encode() * 40, b"spam and spam"]
    stream = b""
    for message in messages:
        payload = sender.compress(message)
        stream += peer.frame(
            peer.TEXT, message if payload is None else payload, reserved=0 if payload is None else COMPRESSED,
            mask=b"mask" if masked else None,
        )  # fmt: skip
    receiver = decoder(Limits(), takeover=takeover, masked=masked)
    assert all_events(receiver, [stream]) == [message.decode() for message in messages]


payloads = st.one_of(
    st.binary(max_size=40).map(packed),
    st.text(max_size=40).map(lambda text: packed(text.encode())),
    st.sampled_from([b"\xff\xfe", b"a\xc3"]).map(packed),
    st.integers(0, 3000).map(lambda size: packed(b"z" * size, level=size % 10)),
    st.binary(max_size=12),
    st.just(b"\x00" + b"\x00\x00\xff\xff"),
    st.binary(max_size=20).map(lambda data: packed(data) + b"\x00\x00\xff\xff"),
    st.binary(max_size=20).map(lambda data: zlib.compress(data)[2:-4]),
)


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Make a stream of whole compressed messages and others, in one piece or several."""
    stream = b""
    for _ in range(draw(st.integers(0, 5))):
        stream += peer.frame(
            draw(st.sampled_from([peer.TEXT, peer.BINARY, peer.TEXT, peer.BINARY, peer.PING, peer.CONTINUATION])),
            draw(payloads),
            reserved=draw(st.sampled_from([COMPRESSED] * 6 + [0, 1, 6])),
            fin=draw(st.sampled_from([True] * 6 + [False])),
            mask=draw(st.sampled_from([b"mask"] * 9 + [None])),
            form=draw(st.sampled_from([0] * 9 + [2, 8])),
        )
    size = draw(st.sampled_from([10_000, 10_000, 7, 50]))
    return [stream[at : at + size] for at in range(0, len(stream), size)]


@settings(max_examples=800)
@given(
    chunks=streams(),
    limits=st.sampled_from([Limits(), Limits(max_message=30), Limits(max_frame=10), Limits(max_fragments=1)]),
    takeover=st.booleans(),
)
def test_the_lane_is_wsproto_with_the_same_extension(chunks: list[bytes], limits: Limits, takeover: bool) -> None:
    """Messages, ends with their reasons, the context and the cost: alike where a check keeps the lane out."""
    slow, fast = decoder(limits, takeover=takeover), decoder(limits, takeover=takeover)
    slow.ask(lambda kind, frame, total: None)
    assert all_events(fast, chunks) == all_events(slow, chunks)
    assert fast.inflate is not None
    assert slow.inflate is not None
    if slow.state is peer.connect().state:
        assert fast.inflate.window == slow.inflate.window
        assert fast.inflate.cost == slow.inflate.cost


def sizes() -> Iterator[int]:
    for power in range(18):
        yield from (2**power - 1, 2**power, 2**power + 1)


@pytest.mark.parametrize("size", [*sizes(), 2**9 - 262, 2**10 - 261])
def test_a_compressor_for_one_message_reaches_all_of_it(size: int) -> None:
    """Its window is as large as the message, so its messages are as short as with the largest window."""
    options = Deflate.shared(threshold=0)
    half = bytes(at * 7919 % 251 for at in range(size // 2))
    message = half + half
    short = Deflater(Terms(15, 15, False, False, ""), options).compress_for_all(message)
    compressor = zlib.compressobj(options.level, zlib.DEFLATED, -15, options.mem_level)
    full = (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    if short is None:
        assert len(full) + 8 >= len(message)
    else:
        assert zlib.decompressobj(-15).decompress(short) == message
        assert len(short) <= len(full) + 32


def test_the_end_names_the_cause() -> None:
    (event,) = all_events(decoder(Limits()), [peer.frame(peer.TEXT, b"\xff\xff", reserved=COMPRESSED)])
    assert isinstance(event, Ended)
    assert (event.code, event.reason, event.answer, event.owed) == (1007, "invalid compressed data", 1007, True)
