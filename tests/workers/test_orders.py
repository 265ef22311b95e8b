"""The messages between the supervisor and a worker."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from wsframe.workers.orders import FROM_SUPERVISOR, FROM_WORKER, LONGEST, decode_message, encode_message


def test_a_message_comes_out_as_it_went_in() -> None:
    assert decode_message(encode_message("over", partitions=[0, 255])) == ("over", {"partitions": [0, 255]})
    assert decode_message(encode_message("hurry")) == ("hurry", {})


def test_no_message_goes_both_ways() -> None:
    assert not set(FROM_WORKER) & set(FROM_SUPERVISOR)


@pytest.mark.parametrize(("name", "fields"), [("begun", {}), ("over", {}), ("hurry", {"code": 1}), ("", {})])
def test_what_is_not_in_the_table_is_not_said(name: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no message"):
        encode_message(name, **fields)


def test_a_message_that_the_other_side_would_drop_is_not_said() -> None:
    for fields in ({"code": 1006, "lame_duck": 0}, {"code": 1001, "lame_duck": float("nan")}):
        with pytest.raises(ValueError, match="cannot be"):
            encode_message("drain", **fields)


def test_a_lame_duck_without_an_end_is_one() -> None:
    assert decode_message(encode_message("ending", code=4001, lame_duck=inf)).fields["lame_duck"] == inf


def test_a_message_beyond_the_limit_is_not_said() -> None:
    with pytest.raises(ValueError, match=f"at most {LONGEST}"):
        encode_message("failed", reason="x" * LONGEST)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"{}", b"[]", b"[1, 2, 3]", b'["hurry"]', b'["hurry", 5]', b'["hurry", {"code": 1}]', b'[[], {}]',
     b'["no", {}]', b'"hurry"', b"null", b'["failed", ["reason"]]', b'["failed", "reason"]',
     b'["failed", {"reason": 5}]',
     b'["over", {"partitions": 5}]', b'["over", {"partitions": [[]]}]', b'["accept", {"started": 1}]',
     b'["ending", {"code": "1001", "lame_duck": 0}]', b'["ending", {"code": 1001, "lame_duck": null}]',
     b'["ending", {"code": 1001, "lame_duck": NaN}]', b'["ending", {"code": 1001, "lame_duck": -1}]',
     b'["ending", {"code": 1005, "lame_duck": 0}]', b'["ending", {"code": 999, "lame_duck": 0}]',
     b'["drain", {"code": 65536, "lame_duck": 0}]', b'["drain", {"code": 2000, "lame_duck": 0}]',
     b"[" * LONGEST],
)  # fmt: skip
def test_bytes_that_are_not_a_message_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a message"):
        decode_message(data)
