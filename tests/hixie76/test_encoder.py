"""Frames of version 0: one byte before the text, one behind it."""

from wsframe.hixie76.encoder import HixieEncoder, text_frame
from wsframe.protocol.frames import TEXT


def test_a_text_stands_between_two_bytes() -> None:
    assert text_frame("smörgås".encode()) == b"\x00" + "smörgås".encode() + b"\xff"


def test_an_byte_that_would_end_the_frame_is_replaced() -> None:
    assert text_frame(b"a\xffb") == b"\x00a\xef\xbf\xbdb\xff"


def test_a_message_is_one_frame_and_all_clients_are_one_group() -> None:
    encoder = HixieEncoder()
    frames = encoder.frames(TEXT, bytes(1000), 10, True, replaceable=False)
    assert frames == encoder.frames_for_all(TEXT, bytes(1000), 10) == [text_frame(bytes(1000))]
    assert encoder.group(b"a", None) == HixieEncoder().group(b"b", True) is not None
    assert encoder.text_only
