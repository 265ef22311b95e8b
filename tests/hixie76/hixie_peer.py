"""The peer's side of version 0: bytes as an old browser sends them, and their meaning by the draft."""

from __future__ import annotations

from hypothesis import strategies as st

from wsframe.hixie76.decoder import HixieDecoder
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Limits, filled
from wsframe.protocol.events import Ended, Event

__all__ = ["CLOSING", "announce", "connect", "discarded", "receive", "reference", "streams", "text"]

CLOSING = b"\xff\x00"


def text(message: str) -> bytes:
    return b"\x00" + message.encode() + b"\xff"


def announce(length: int, first: int = 0x80, zeros: int = 0) -> bytes:
    """Make the head of a frame with a length, with leading zeros if it is to be longer than it need be."""
    digits = [length & 0x7F]
    while length := length >> 7:
        digits.insert(0, length & 0x7F)
    digits = [0] * zeros + digits
    return bytes([first, *(digit | 0x80 for digit in digits[:-1]), digits[-1]])


def discarded(payload: bytes, first: int = 0x80) -> bytes:
    return announce(len(payload), first) + payload


def connect(limits: Limits | None = None) -> HixieDecoder:
    """Make a connection with these limits, the others at their defaults."""
    return HixieDecoder(filled(limits or Limits(), DEFAULT_LIMITS), DEFAULT_TIMEOUTS, 0.0)


def receive(connection: HixieDecoder, data: bytes, room: int = 1000) -> list[Event]:
    """Pass bytes as the reactor does, in a bytearray of their own."""
    return connection.receive(bytearray(data), room)


def reference(stream: bytes, limit: int) -> list[Event]:
    """The draft's reading of a stream, byte by byte, with a limit of bytes to a frame."""
    events: list[Event] = []
    kind, payload, length, digits, skip = -1, b"", 0, 0, 0
    for byte in stream:
        if skip:
            skip -= 1
        elif kind < 0:
            kind, payload, length, digits = byte, b"", 0, 0
        elif kind < 0x80:
            if byte == 0xFF:
                events += [payload.decode("utf-8", "replace")] if kind == 0 else []
                kind = -1
            else:
                payload += bytes([byte])
                if len(payload) > limit:
                    return [*events, Ended(1009, "message too big", clean=False, answer=1009, owed=True)]
        else:
            length, digits = length * 128 + byte % 128, digits + 1
            if length > limit:
                return [*events, Ended(1009, "message too big", clean=False, answer=1009, owed=True)]
            if byte < 0x80:
                if kind == 0xFF and not length:
                    return [*events, Ended(1005, "", clean=True, owed=True)]
                kind, skip = -1, length
            elif digits == 9:
                return [*events, Ended(1002, "protocol error", clean=False, answer=1002, owed=True)]
    return events


PAYLOADS = st.text(max_size=12).map(str.encode) | st.sampled_from([0, 1, 24, 25, 26, 300]).map(lambda size: b"x" * size)
TYPES = st.sampled_from([0x80, 0x80, 0xFF, 0x81, 0xFE])
FRAMES = st.one_of(
    PAYLOADS.map(lambda payload: b"\x00" + payload + b"\xff"),
    PAYLOADS.map(lambda payload: b"\x00" + payload + b"\xff"),
    st.builds(discarded, PAYLOADS, TYPES),
    st.builds(lambda first, raw: bytes([first]) + raw + b"\xff", st.integers(1, 0x7F), PAYLOADS),
    st.builds(announce, st.sampled_from([0, 0, 1, 25, 26, 2**31, 2**80]), TYPES, st.integers(0, 12)),
    st.sampled_from([CLOSING, b"\x00bad \xc3(\xed\xa0\x80\xff", b"\x00half"]),
    st.binary(max_size=20),
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Make a stream of good and bad frames, perhaps with its tail cut off."""
    stream = b"".join(draw(st.lists(FRAMES, max_size=8)))
    return stream[: draw(st.integers(0, len(stream)))] if draw(st.integers(0, 3)) == 0 else stream
