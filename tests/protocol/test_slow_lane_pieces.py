"""Joining the pieces of a message."""

from __future__ import annotations

import pytest

from wsframe.protocol.slow_lane import Assembler


@pytest.mark.parametrize("pieces", [["a", "", "ü"], [b"a", b"", b"\xff"], [""], [b""]])
def test_pieces_are_joined_and_the_next_message_begins_empty(pieces: list[str] | list[bytes]) -> None:
    assembler = Assembler()
    for _ in range(2):
        assert (assembler.begun, assembler.weight) == (False, 0)
        for piece in pieces[:-1]:
            assert assembler.add(piece, last=False) is None
            assert assembler.begun
        whole = assembler.add(pieces[-1], last=True)
        assert whole == pieces[0][:0].join(pieces)  # type: ignore[arg-type]


def test_a_piece_in_a_bytearray_becomes_bytes() -> None:
    assembler = Assembler()
    assembler.add(bytearray(b"ab"), last=False)
    assert assembler.weight == 2
    assert type(assembler.add(bytearray(b"c"), last=True)) is bytes


@pytest.mark.parametrize(
    ("pieces", "weight"),
    [
        (["abc", "de"], 5),
        (["abc", "\xe9"], 4),
        (["\xe9" * 1000], 1000),
        (["abc", "\u20ac"], 8),
        (["a" * 1000, "\U0001f600", "a"], 4008),
        (["\U0001f600" * 3, "a" * 5, "\xe9"], 36),
    ],
)
def test_text_weighs_the_bytes_it_takes(pieces: list[str], weight: int) -> None:
    """One character beyond the Basic Multilingual Plane makes four bytes of each."""
    assembler = Assembler()
    for piece in pieces:
        assembler.add(piece, last=False)
    assert assembler.weight == weight
    assembler.add("", last=True)
    assembler.add("abc", last=False)
    assert assembler.weight == 3
