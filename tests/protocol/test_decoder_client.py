"""The receiving half in the role of a client: no masks, and a mask is a violation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol import peer
from tests.protocol.engine import reference
from tests.protocol.streams import bad_utf8, binaries, chunked, texts
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, filled
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.events import Ended

Frames = st.SearchStrategy[bytes]


def built(opcode: int, payload: st.SearchStrategy[bytes], **more: st.SearchStrategy[object]) -> Frames:
    make: Callable[..., bytes] = peer.frame
    return st.builds(make, st.just(opcode), payload, **{"mask": st.none(), **more})


fragments = st.tuples(
    built(peer.TEXT, texts, fin=st.just(False)), built(peer.PING, binaries.filter(lambda it: len(it) < 126)),
    built(peer.CONTINUATION, texts),
).map(b"".join)  # fmt: skip
pieces = st.one_of(
    built(peer.TEXT, texts),
    built(peer.BINARY, binaries),
    fragments,
    built(peer.PONG, st.binary(max_size=125)),
    built(peer.CLOSE, st.sampled_from([b"", b"\x03\xe8bye", b"\x03", b"\x03\xed", b"\x03\xe8\xff"])),
    built(peer.TEXT, bad_utf8),
    built(peer.TEXT, texts, mask=st.sampled_from([None, peer.MASK])),
    built(3, texts, reserved=st.integers(0, 7)),
    st.binary(max_size=20),
)
streams = st.lists(pieces, max_size=8).map(b"".join)


def connection(limits: Limits | None = None) -> Decoder:
    return Decoder(filled(limits or Limits(), DEFAULT_LIMITS), DEFAULT_TIMEOUTS, 0.0, masked=False)


@settings(max_examples=600)
@given(chunked(streams))
def test_the_fast_lane_with_wsproto_is_wsproto_alone(chunks: list[bytes]) -> None:
    ours = connection()
    events = [event for chunk in chunks for event in ours.receive(bytearray(chunk), 1000)]
    comparable = [
        Ended(event.code, event.reason if event.clean else "", event.clean) if isinstance(event, Ended) else event
        for event in events
    ]
    assert comparable == reference(b"".join(chunks), Limits(), masked=False)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("opcode", [peer.TEXT, peer.BINARY])
def test_a_masked_frame_of_a_server_is_a_violation(opcode: int, length: int) -> None:
    (ended,) = connection().receive(bytearray(peer.frame(opcode, b"x" * length)), 9)
    assert isinstance(ended, Ended)
    assert (ended.code, ended.clean, ended.answer, ended.owed) == (1002, False, 1002, True)


@pytest.mark.parametrize("length", [0, 125, 126, 65535, 65536, 70000])
@pytest.mark.parametrize("size", [1, 1000, 100_000])
def test_frames_of_every_length_form_are_read(length: int, size: int) -> None:
    stream = peer.frame(peer.TEXT, b"x" * length, mask=None) + peer.frame(peer.BINARY, b"next", mask=None)
    ours = connection()
    events = [event for at in range(0, len(stream), size) for event in peer.receive(ours, stream[at : at + size])]
    assert events == ["x" * length, b"next"]


def test_a_frame_over_the_limit_is_refused_from_its_header() -> None:
    (ended,) = connection(Limits(max_message=1000)).receive(bytearray(peer.announce(peer.TEXT, 1001, mask=None)), 9)
    assert isinstance(ended, Ended)
    assert ended.code == 1009


def test_the_answer_to_our_close_frame_is_found_without_mask() -> None:
    ours = connection()
    assert ours.close() == []
    stream = peer.frame(peer.TEXT, b"late", mask=None) + peer.frame(peer.CLOSE, b"\x03\xe8ok", mask=None)
    (ended,) = ours.receive(bytearray(stream), 9)
    assert ended == Ended(1000, "ok", clean=True)


def test_a_masked_answer_to_our_close_frame_is_none() -> None:
    ours = connection()
    ours.close()
    (ended,) = ours.receive(bytearray(peer.close(1000)), 9)
    assert ended == Ended(1006, "malformed close frame", clean=False)
