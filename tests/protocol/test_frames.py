"""Frames on the wire, compared with wsproto's own encoder and with the layout of RFC 6455 section 5.2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import CLIENT
from wsproto.connection import Connection as Engine
from wsproto.events import BytesMessage, Message, Pong, TextMessage

from tests.protocol import peer
from wsframe.protocol.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    WIDE,
    control_frame,
    data_frame,
    data_frames,
    ends_message,
    frame_extent,
    is_control,
    starts_message,
    unmask,
)

EDGES = [0, 1, 125, 126, 127, 65535, 65536]


def test_the_opcodes_are_those_of_rfc_6455() -> None:
    assert (CONTINUATION, TEXT, BINARY) == (peer.CONTINUATION, peer.TEXT, peer.BINARY) == (0, 1, 2)
    assert (CLOSE, PING, PONG) == (peer.CLOSE, peer.PING, peer.PONG) == (8, 9, 10)


def read(data: bytes) -> list[object]:
    """Return the events an independent client sees."""
    return list(Engine(CLIENT, [], data).events())


def message_of(frames: bytes) -> bytes | str:
    events = read(frames)
    parts = [event.data for event in events if isinstance(event, Message)]
    assert len(parts) == len(events)
    assert [event.message_finished for event in events if isinstance(event, Message)][-1] is True
    return "".join(map(str, parts)) if isinstance(parts[0], str) else b"".join(map(bytes, parts))


@pytest.mark.parametrize("length", EDGES)
def test_a_message_is_one_unmasked_frame_with_the_shortest_header(length: int) -> None:
    payload = b"x" * length
    assert bytes(data_frame(BINARY, payload)) == peer.frame(BINARY, payload, mask=None)
    assert bytes(data_frame(TEXT, payload)) == peer.frame(TEXT, payload, mask=None)


@pytest.mark.parametrize("length", EDGES)
def test_a_client_reads_what_is_encoded(length: int) -> None:
    payload = b"x" * length
    assert message_of(bytes(data_frame(BINARY, payload))) == payload
    assert message_of(bytes(data_frame(TEXT, payload))) == payload.decode()


@given(st.text(), st.integers(1, 9))
def test_a_split_message_is_the_same_message_even_split_inside_a_character(text: str, frame_size: int) -> None:
    frames = data_frames(TEXT, text.encode(), frame_size)
    assert message_of(b"".join(frames)) == text
    assert all(len(frame) - 2 <= frame_size for frame in frames)
    assert len(frames) == max(1, -(-len(text.encode()) // frame_size))


def test_only_the_last_part_has_fin_and_only_the_first_an_opcode() -> None:
    first, middle, last = data_frames(BINARY, b"abcde", 2)
    assert (first[0], middle[0], last[0]) == (0x02, 0x00, 0x80)
    assert [starts_message(part) for part in (first, middle, last)] == [True, False, False]
    assert [ends_message(part) for part in (first, middle, last)] == [False, False, True]


def test_an_empty_message_is_one_empty_frame() -> None:
    assert data_frames(TEXT, b"", 5) == [data_frame(TEXT, b"")] == [b"\x81\x00"]


@pytest.mark.parametrize("frame_size", [0, -1])
def test_a_frame_size_below_one_is_refused(frame_size: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        data_frames(TEXT, b"abc", frame_size)


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_a_control_frame_carries_up_to_125_bytes(opcode: int) -> None:
    assert control_frame(opcode, b"x" * 125) == peer.frame(opcode, b"x" * 125, mask=None)
    with pytest.raises(ValueError, match="at most 125 bytes, not 126"):
        control_frame(opcode, b"x" * 126)


def test_control_frames_are_told_from_data_frames() -> None:
    assert [is_control(control_frame(opcode, b"")) for opcode in (CLOSE, PING, PONG)] == [True] * 3
    assert [is_control(data_frame(opcode, b"")) for opcode in (TEXT, BINARY)] == [False] * 2
    (pong,) = read(control_frame(PONG, b"x"))
    assert isinstance(pong, Pong)
    assert pong.payload == b"x"


@pytest.mark.parametrize("mask", [None, peer.MASK])
@pytest.mark.parametrize("length", [*EDGES, 2**40, 2**64 - 1])
def test_the_extent_of_a_frame_is_known_from_the_last_byte_of_its_header_on(length: int, mask: bytes | None) -> None:
    header = peer.announce(BINARY, length, mask=mask)
    assert frame_extent(header, 0) == (len(header), length)
    for cut in range(len(header)):
        assert frame_extent(header[:cut], 0) == (0, 0)
        assert frame_extent(b"abc" + header[:cut], 3) == (0, 0)
    assert frame_extent(bytearray(b"abc" + header + b"payload"), 3) == (len(header), length)


@given(st.binary(max_size=3 * WIDE), st.binary(min_size=4, max_size=4))
def test_unmasking_is_the_xor_of_rfc_6455_section_5_3(payload: bytes, mask: bytes) -> None:
    expected = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    assert unmask(payload, mask) == expected
    assert unmask(bytearray(payload), bytearray(mask)) == expected


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, WIDE - 1, WIDE, WIDE + 1, WIDE + 2, WIDE + 3])
def test_unmasking_twice_changes_nothing_on_either_side_of_the_wide_path(length: int) -> None:
    payload = bytes(at % 251 for at in range(length))
    masked = unmask(payload, b"\x00\x80\xff\x01")
    assert type(masked) is bytes
    assert unmask(masked, b"\x00\x80\xff\x01") == payload
    assert masked[1:2] != payload[1:2] or length < 2


def test_text_and_binary_are_told_apart_by_a_client() -> None:
    assert isinstance(read(bytes(data_frame(TEXT, b"x")))[0], TextMessage)
    assert isinstance(read(bytes(data_frame(BINARY, b"x")))[0], BytesMessage)
