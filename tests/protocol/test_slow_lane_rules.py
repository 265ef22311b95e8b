"""The rule that a frame breaks, by its header alone."""

import pytest

from wsframe.protocol.slow_lane import broken_rule, may_be_close

BROKEN = {
    "unknown opcode": (b"\x83\x80", {}),
    "control frame in fragments": (b"\x09\x80", {}),
    "control frame too long": (b"\x89\xfe", {}),
    "reserved bits": (b"\xc1\x80", {}),
    "no mask": (b"\x81\x01", {}),
    "a mask": (b"\x81\x81", {"masked": False}),
    "continuation of nothing": (b"\x80\x80", {}),
    "message in a message": (b"\x81\x80", {"begun": True}),
    "length": (b"\x81\xff", {}),
}


def rule_of(head: bytes, *, masked: bool = True, begun: bool = False, compressed: bool = False) -> str:
    return broken_rule(head, masked=masked, begun=begun, compressed=compressed)


def test_each_rule_has_words_of_its_own() -> None:
    words = {rule_of(head, **more) for head, more in BROKEN.values()}
    assert len(words) == len(BROKEN)
    assert "protocol error" not in words


def test_half_a_header_breaks_no_rule_that_has_a_name() -> None:
    assert rule_of(b"\x81") == rule_of(b"") == "protocol error"


def test_a_compressed_message_has_its_bit_where_that_is_agreed_and_control_frames_never() -> None:
    reserved = rule_of(b"\xc1\x80")
    assert rule_of(b"\xc1\x80", compressed=True) != reserved
    assert rule_of(b"\xc9\x80", compressed=True) == reserved


@pytest.mark.parametrize(
    ("head", "masked", "may"),
    [
        (b"\x88\x80", True, True), (b"\x88\xfd", True, True), (b"\x88\x02", False, True), (b"\x88\x02", True, False),
        (b"\x88\x82", False, False), (b"\x08\x80", True, False), (b"\x88\xfe", True, False), (b"\x89\x80", True, False),
        (b"\xc8\x80", True, False),
    ],
)  # fmt: skip
def test_a_close_frame_is_known_by_its_header(head: bytes, masked: bool, may: bool) -> None:
    assert may_be_close(head, masked=masked) is may
