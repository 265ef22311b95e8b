"""The challenge of hixie-76: the drafts' own examples, and keys that are none."""

from __future__ import annotations

import pytest

from wsframe.hixie76.handshake import NONCE, solve, valid_keys
from wsframe.http.request import Headers

# The examples of draft-hixie-thewebsocketprotocol-76, sections 1.2 and 1.3, and one more of
# draft-ietf-hybi-thewebsocketprotocol-00, section 5.2.
EXAMPLES = [
    ("4 @1  46546xW%0l 1 5", "12998 5 Y3 1  .P00", b"^n:ds[4U", b"8jKS'y:G*Co,Wxa-"),
    ("18x 6]8vM;54 *(5:  {   U1]8  z [  8", "1_ tx7X d  <  nw  334J702) 7]o}` 0", b"Tm[K T2u", b"fQJ,fN/4F4!~K~MH"),
    ("3e6b263  4 17 80", "17  9 G`ZD9   2 2b 7X 3 /r90", b"WjN}|M(6", b"n`9eBk9z$R8pOtVb"),
]
GOOD = EXAMPLES[0][0]


def keys(first: str, second: str) -> Headers:
    return Headers([("sec-websocket-key1", first), ("sec-websocket-key2", second)])


@pytest.mark.parametrize(("first", "second", "nonce", "answer"), EXAMPLES)
def test_the_examples_of_the_drafts(first: str, second: str, nonce: bytes, answer: bytes) -> None:
    assert len(nonce) == NONCE
    assert valid_keys(keys(first, second))
    assert solve(keys(first, second), nonce) == answer


@pytest.mark.parametrize(
    "key",
    ["", "12345", " ", "abc def", "12 3 45 7", "4294967296 ", "9" * 5000 + " ", "\u0661 \u00b2"],
    ids=["empty", "no-space", "no-digit", "letters", "no-multiple", "over-32-bits", "endless", "other-digits"],
)
def test_a_key_without_a_whole_number_of_32_bits_is_none(key: str) -> None:
    assert not valid_keys(keys(GOOD, key))
    assert not valid_keys(keys(key, GOOD))


@pytest.mark.parametrize("key", ["0 ", "4294967295 ", "4294967294  ", "00000000 12"])
def test_the_numbers_may_be_any_of_32_bits(key: str) -> None:
    assert valid_keys(keys(GOOD, key))


def test_each_key_is_there_once() -> None:
    assert not valid_keys(Headers([("sec-websocket-key1", GOOD)]))
    assert not valid_keys(Headers([("sec-websocket-key1", GOOD), ("sec-websocket-key2", GOOD)] * 2))
