"""permessage-deflate: its options, and the messages that are compressed."""

from __future__ import annotations

import os
import zlib

import pytest

from wsframe.protocol.deflate import Deflate, Deflater, Terms

NAME = "permessage-deflate"
DEDICATED = Deflate.dedicated(window_bits=15)
TAIL = b"\x00\x00\xff\xff"


@pytest.mark.parametrize(
    "wrong",
    [{"window_bits": 8}, {"window_bits": 16}, {"mem_level": 0}, {"mem_level": 10}, {"level": 10}, {"level": -2},
     {"threshold": -1}],
)  # fmt: skip
def test_options_are_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Deflate.shared(**wrong)


def test_messages_by_themselves_are_compressed_in_little_time_and_those_of_a_client_small() -> None:
    assert (Deflate().level, Deflate.shared().level, Deflate.dedicated().level) == (3, 3, 6)


def test_empty_messages_can_be_compressed_over_and_over() -> None:
    deflater, inflater = Deflater(Terms(15, 15, True, True, NAME), DEDICATED), zlib.decompressobj(-15)
    for message in (b"", b"", b"text" * 99, b"", b""):
        data = deflater.compress(message)
        assert data
        assert inflater.decompress(data + TAIL) == message


def test_a_message_that_does_not_shrink_goes_as_it_is_unless_it_must_be_kept_in_view() -> None:
    noise = os.urandom(500)
    assert Deflater(Terms(15, 15, False, False, NAME), Deflate.shared()).compress(noise) is None
    assert Deflater(Terms(15, 15, True, True, NAME), DEDICATED).compress_for_all(noise) is None
    assert Deflater(Terms(15, 15, True, True, NAME), DEDICATED).compress(noise) is not None


def test_after_a_rest_a_message_stands_alone_and_later_ones_refer_to_it() -> None:
    deflater, inflater = Deflater(Terms(15, 15, True, True, NAME), DEDICATED), zlib.decompressobj(-15)
    message = os.urandom(500)
    sizes = []
    for rests in (False, False, True, False):
        if rests:
            deflater.rest()
        packed = deflater.compress(message)
        assert packed is not None
        assert inflater.decompress(packed + TAIL) == message
        sizes.append(len(packed) > 400)
    assert sizes == [True, False, True, False]


@pytest.mark.parametrize(
    "wrong",
    [{"window_bits": "15"}, {"mem_level": None}, {"level": 6.0}, {"threshold": "1"}, {"mode": "no"}, {"mode": []}],
)
def test_options_of_another_type_are_type_errors_that_name_the_field(wrong: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=rf"^Deflate\.{next(iter(wrong))} must be "):
        Deflate(**wrong)  # type: ignore[arg-type]
