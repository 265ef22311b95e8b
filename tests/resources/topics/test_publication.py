"""Messages of topics, and their envelopes."""

from __future__ import annotations

from typing import Any

import pytest

from wsframe.backplane.interface import Position
from wsframe.protocol.frames import BINARY, TEXT
from wsframe.resources.topics.publication import Publication, unwrap_publication, wrap_publication


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("key", [None, "k", 7])
@pytest.mark.parametrize("compress", [None, True, False])
def test_an_envelope_holds_all(opcode: int, key: Any, compress: bool | None) -> None:
    at = Position(1, 2)
    expected = Publication(opcode, b"data", at, "node", key, compress)
    assert unwrap_publication(wrap_publication(opcode, b"data", key, compress), "node", at) == expected
    assert expected.message == ("data" if opcode == TEXT else b"data")


@pytest.mark.parametrize(
    "options",
    [b"7", b"null", b"true", b"{}", b"[]", b"[1]", b"[1,2,3]", b"[[],null]", b"[1.5,null]", b'["k",1]', b"[{},null]",
     b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b"["],
)  # fmt: skip
def test_options_that_no_server_sends_are_a_value_error(options: bytes) -> None:
    payload = b"".join((b"\x01t", len(options).to_bytes(4, "little"), options, b"data"))
    with pytest.raises(ValueError, match=r"."):
        unwrap_publication(payload, "node", None)
