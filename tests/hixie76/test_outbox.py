"""The outbox of version 0: its frames say nothing of themselves, and its end has no code."""

from __future__ import annotations

from tests.hixie76.hixie_peer import CLOSING, text
from wsframe.connection.flusher import Flusher
from wsframe.hixie76.outbox import HixieOutbox


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
