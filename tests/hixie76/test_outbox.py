"""Sending in version 0: a byte before each text and one behind it; an end without a code."""

from __future__ import annotations

from tests.hixie76.hixie_peer import CLOSING, text
from wsframe.connection.flusher import Flusher
from wsframe.hixie76.outbox import HixieEncoder, HixieOutbox, text_frame
from wsframe.protocol.frames import TEXT


class Wire:
    def blocked(self, *, progress: bool) -> None: ...
    def unblocked(self) -> None: ...
    def emptied(self) -> None: ...
    def broken(self) -> None: ...
    def overflowed(self) -> None: ...


def outbox(sent: bytearray) -> HixieOutbox:
    def send(data: bytes | memoryview) -> int:
        sent.extend(data)
        return len(data)

    return HixieOutbox(send, Wire(), 1000, "drop_oldest", Flusher())


async def test_a_close_is_the_closing_handshake_whatever_its_frame() -> None:
    sent = bytearray()
    waiting = outbox(sent)
    assert waiting.put(text("one"))
    assert waiting.put_close(b"\x88\x02\x03\xe8")
    assert not waiting.put(text("two"))
    waiting.flush()
    assert sent == text("one") + CLOSING


async def test_there_are_no_pings() -> None:
    sent = bytearray()
    waiting = outbox(sent)
    assert not waiting.put_urgent(b"\x89\x00")
    assert not waiting.put_ping(b"\x89\x00")
    assert waiting.items == []


async def test_each_frame_but_the_closing_handshake_is_a_message() -> None:
    assert all(kind(text("x")) for kind in (HixieOutbox.starts_message, HixieOutbox.ends_message))
    assert not any(kind(CLOSING) for kind in (HixieOutbox.starts_message, HixieOutbox.ends_message))
    assert HixieOutbox.is_control(CLOSING)
    assert HixieOutbox.is_close(CLOSING)
    assert not HixieOutbox.is_control(b"\x89\x00"), "a first byte of RFC 6455 means nothing here"


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
