"""A client's frames and messages, byte by byte."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, Ping, TextMessage

from wsframe.protocol.frames import data_frames, header
from wsframe.testing.frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, Compression, Frame, Reader, masked


def whole(opcode: int, payload: bytes) -> bytes:
    return header(0x80 | opcode, len(payload)) + payload


@given(st.binary(max_size=70_000), st.binary(max_size=125))
def test_masked_frames_are_read_by_a_server_as_they_were_meant(message: bytes, ping: bytes) -> None:
    server = Connection(ConnectionType.SERVER)
    server.receive_data(masked(PING, ping) + masked(BINARY, message))
    first, *others = server.events()
    assert isinstance(first, Ping)
    assert first.payload == ping
    assert b"".join(event.data for event in others if isinstance(event, BytesMessage)) == message


def test_frame_may_break_any_rule() -> None:
    assert masked(3, b"", fin=False, rsv1=True)[:2] == bytes((0x43, 0x80))


@given(st.text(max_size=300), st.binary(max_size=300), st.integers(1, 50), st.integers(1, 50))
def test_messages_come_out_whatever_the_frames_and_pieces(text: str, raw: bytes, size: int, piece: int) -> None:
    wire = b"".join(data_frames(TEXT, text.encode(), size)) + whole(BINARY, raw)
    reader = Reader(None)
    found = [entry for at in range(0, len(wire), piece) for entry in reader.receive(wire[at : at + piece])]
    assert [message for _, message in found if message is not None] == [text, raw]
    assert b"".join(frame.payload for frame, _ in found) == text.encode() + raw


def test_control_frame_within_a_message_comes_in_its_place() -> None:
    first, last = data_frames(TEXT, b"ab", 1)
    found = Reader(None).receive(first + header(0x80 | CLOSE, 0) + last)
    assert found == [(Frame(TEXT, b"a", fin=False), None), (Frame(CLOSE, b""), None), (Frame(CONTINUATION, b"b"), "ab")]


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"\x83\x00", "opcode 3"),
        (masked(TEXT, b"x"), "masked"),
        (b"\xc1\x00", "reserved bits: 0xc1"),
        (b"\x80\x00", "mixed"),
        (b"\x01\x00\x81\x00", "mixed"),
    ],
)
def test_what_no_server_may_send_is_an_assertion(raw: bytes, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        Reader(None).receive(raw)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("bits", [8, 9, 15])
def test_compression_is_undone_by_any_other(keep: bool, bits: int) -> None:
    answer = f"permessage-deflate; client_max_window_bits={bits}"
    answer += "" if keep else "; client_no_context_takeover; server_no_context_takeover"
    ours, theirs = Compression(answer), zlib.decompressobj(-max(bits, 9))
    sizes = []
    for _ in range(3):
        raw = ours.deflate(b"wsframe, wsframe!")
        sizes.append(len(raw))
        theirs = theirs if keep else zlib.decompressobj(-max(bits, 9))
        assert theirs.decompress(raw + b"\0\0\xff\xff") == b"wsframe, wsframe!"
        assert ours.inflate(raw) == b"wsframe, wsframe!"
    assert (sizes[2] < sizes[0]) == keep


def test_compressed_message_may_have_frames_and_others_not() -> None:
    agreed = Compression("permessage-deflate")
    raw = agreed.deflate(b"hello")
    reader = Reader(agreed)
    wire = header(0x41, 2) + raw[:2] + header(0x80, len(raw) - 2) + raw[2:] + whole(TEXT, b"plain")
    assert [message for _, message in reader.receive(wire)] == [None, "hello", "plain"]
    with pytest.raises(AssertionError, match="reserved bits"):
        reader.receive(b"\xc9\x00")


def test_extension_that_was_not_offered_is_an_assertion() -> None:
    with pytest.raises(AssertionError, match="x-other"):
        Compression("x-other; a=1")


def test_messages_of_wsproto_are_read() -> None:
    server = Connection(ConnectionType.SERVER)
    wire = server.send(TextMessage(data="one")) + server.send(BytesMessage(data=b"two"))
    assert [message for _, message in Reader(None).receive(wire)] == ["one", b"two"]
