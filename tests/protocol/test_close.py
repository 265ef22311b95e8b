"""Close codes and close frames (RFC 6455 sections 5.5.1 and 7.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import CLIENT
from wsproto.connection import Connection as Engine
from wsproto.events import CloseConnection

from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS
from wsframe.protocol.close import CloseCode, check_close_code, close_frame, may_be_sent
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.events import Ended
from wsframe.protocol.frames import BINARY, CLOSE, control_frame, data_frames
from wsframe.protocol.masking import Masker


def read(frame: bytes) -> tuple[int, str | None]:
    """Return code and reason as an independent client reads them."""
    (event,) = Engine(CLIENT, [], frame).events()
    assert isinstance(event, CloseConnection)
    return int(event.code), event.reason


def test_the_codes_are_those_registered() -> None:
    """1004 is reserved without a meaning (RFC 6455 section 7.4.1)."""
    assert sorted(CloseCode) == [1000, 1001, 1002, 1003, *range(1005, 1016)]
    assert (CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.PROTOCOL_ERROR) == (1000, 1001, 1002)
    assert (CloseCode.NO_STATUS_RECEIVED, CloseCode.ABNORMAL_CLOSURE, CloseCode.TLS_HANDSHAKE) == (1005, 1006, 1015)
    assert (CloseCode.INVALID_PAYLOAD, CloseCode.MESSAGE_TOO_BIG, CloseCode.INTERNAL_ERROR) == (1007, 1009, 1011)


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999, CloseCode(1008)])
def test_a_code_that_may_be_sent_passes(code: int) -> None:
    check_close_code(code)


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65536])
def test_a_code_that_may_not_be_sent_is_a_value_error(code: int) -> None:
    with pytest.raises(ValueError, match=f"close code {code} must not be sent"):
        check_close_code(code)


@pytest.mark.parametrize("code", [None, "1000", 1000.0, True])
def test_what_is_no_int_is_a_type_error(code: object) -> None:
    with pytest.raises(TypeError, match=f"an int, not {type(code).__name__}"):
        check_close_code(code)


def test_a_close_frame_without_a_code_is_empty_and_takes_no_reason() -> None:
    assert close_frame(None) == close_frame(None, "reason") == b"\x88\x00"


def test_a_close_frame_carries_code_and_reason() -> None:
    assert close_frame(1000) == b"\x88\x02\x03\xe8"
    assert close_frame(CloseCode.GOING_AWAY, "bye") == b"\x88\x05\x03\xe9bye"


def test_a_reason_of_123_bytes_is_whole() -> None:
    assert read(close_frame(1000, "x" * 123)) == (1000, "x" * 123)


@given(st.text(min_size=30, max_size=200))
def test_a_long_reason_is_cut_at_123_bytes_between_characters(reason: str) -> None:
    code, cut = read(close_frame(4000, reason))
    assert code == 4000
    assert cut is not None
    assert reason.startswith(cut)
    assert len(cut.encode()) <= 123
    # Cut no earlier than it must be: the next character would not have fitted.
    assert cut == reason or len(reason[: len(cut) + 1].encode()) > 123


def test_a_reason_that_utf_8_cannot_say_is_sent_with_question_marks() -> None:
    assert read(close_frame(1000, "a\ud800b")) == (1000, "a?b")


CODES = [code for code in range(1000, 5000) if may_be_sent(code)]


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("way", ["at once", "in two pieces", "past a check", "inside a message", "in answer"])
def test_every_code_that_may_be_sent_arrives_unchanged(way: str, masked: bool) -> None:
    """In both roles, and whichever part of the connection reads it: wsproto knows no 1014."""
    for code in CODES:
        connection = Decoder(DEFAULT_LIMITS, DEFAULT_TIMEOUTS, 0.0, masked=masked)
        frame = Masker().mask(close_frame(code, "why")) if masked else close_frame(code, "why")
        pieces = [frame]
        if way == "in two pieces":
            pieces = [frame[:3], frame[3:]]
        elif way == "past a check":
            connection.ask(lambda *frame: None)
        elif way == "inside a message":
            begun = data_frames(BINARY, b"xy", 1)[0]
            pieces.insert(0, Masker().mask(begun) if masked else begun)
        elif way == "in answer":
            connection.close()
        events = [event for piece in pieces for event in connection.receive(bytearray(piece), 10)]
        answered = way == "in answer"
        owed = Ended(code, "why", clean=True, answer=None if answered else code, owed=not answered)
        assert events == [owed], code


@pytest.mark.parametrize("masked", [True, False])
def test_no_other_code_is_taken(masked: bool) -> None:
    for code in {*range(6000), 2**16 - 1}.difference(CODES):
        connection = Decoder(DEFAULT_LIMITS, DEFAULT_TIMEOUTS, 0.0, masked=masked)
        frame = control_frame(CLOSE, code.to_bytes(2, "big"))
        (ended,) = connection.receive(bytearray(Masker().mask(frame) if masked else frame), 10)
        assert ended == Ended(1002, f"close code {code} must not be sent", clean=False, answer=1002, owed=True)
