"""Messages between nodes, as bytes."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.backplane.engines.envelope import KEPT, MARK, PLAIN, Envelope, body, unwrap
from wsframe.backplane.interface import Position

NUMBERS = st.integers(0, 2**64 - 1)
NAMES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=100)


@given(NUMBERS, NAMES, st.binary(max_size=100), st.booleans())
def test_a_message_comes_out_as_it_went_in(number: int, sender: str, payload: bytes, mark: bool) -> None:
    head = (MARK if mark else PLAIN).encode()
    assert unwrap(head + body(number, sender, payload)) == Envelope(mark, None, number, sender, sender, payload)


@given(NAMES.filter(bool), NAMES)
def test_a_node_names_the_sender_for_which_it_publishes(node: str, sender: str) -> None:
    one = unwrap(PLAIN.encode() + body(1, node, b"x", sender))
    assert (one.node, one.sender, one.payload) == (node, sender or node, b"x")
    assert body(1, node, b"x", node) == body(1, node, b"x")


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**53))
def test_a_kept_message_has_its_position(epoch: int, offset: int) -> None:
    head = f"{KEPT}{epoch:016x}{offset:016x}".encode()  # as the scripts of an engine make it
    assert unwrap(head + body(1, "a", b"x")) == Envelope(False, Position(epoch, offset), 1, "a", "a", b"x")


@pytest.mark.parametrize(
    "data", [b"", b"1", b"1n", b"2n" + body(1, "a", b""), b"1x" + body(1, "a", b""), (KEPT + "zz").encode(),
             PLAIN.encode() + body(1, "abc", b"")[:-1], PLAIN.encode() + body(1, "ä", b"")[:-1]],
)  # fmt: skip
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unwrap(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    with suppress(ValueError):
        unwrap(data)
