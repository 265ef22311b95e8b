"""Replies and pushes, as text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsframe.centrifuge.errors import CentrifugeError
from wsframe.centrifuge.replies import (
    PING,
    ChannelPublication,
    Info,
    array,
    as_json,
    as_text,
    error,
    members,
    push,
    reply,
)


def test_replies_and_pushes_are_those_of_the_protocol() -> None:
    assert PING == "{}"
    assert reply(3, "rpc", members({"data": "[1]"})) == '{"id":3,"rpc":{"data":[1]}}'
    assert reply(4, "publish") == '{"id":4,"publish":{}}'
    assert error(5, CentrifugeError(103)) == '{"id":5,"error":{"code":103,"message":"permission denied"}}'
    assert json.loads(error(6, CentrifugeError(111)))["error"]["temporary"] is True
    publication = ChannelPublication("7", Info("id", "ann").json(), '{"a":"b"}')
    assert json.loads(push("pub", publication.json(9), "c")) == {
        "push": {
            "channel": "c",
            "pub": {"data": 7, "info": {"user": "ann", "client": "id"}, "offset": 9, "tags": {"a": "b"}},
        }
    }
    assert push("message", members({"data": "1"})) == '{"push":{"message":{"data":1}}}'


def test_members_that_go_without_saying_are_left_out() -> None:
    assert members({"a": None, "b": 0, "c": False, "d": True, "e": 2, "f": '""', "g": "0"}) == (
        '{"d":true,"e":2,"f":"","g":0}'
    )
    assert array([]) == "[]"
    assert array(["1", "{}"]) == "[1,{}]"


@given(st.text(st.characters(exclude_categories=())))
def test_any_string_of_a_client_can_be_sent_back(value: str) -> None:
    encoded = as_text(value)
    assert json.loads(encoded.encode()) == value
    assert "\n" not in encoded


@pytest.mark.parametrize("value", ["\ud800", "a\udfffb", {"\udc00": ["ü\ud83d"]}])
def test_lone_surrogates_stay_escaped(value: Any) -> None:
    assert json.loads(as_json(value).encode()) == value


def test_text_beyond_ascii_is_not_blown_up() -> None:
    assert as_json("ü€😀") == '"ü€😀"'


def test_numbers_that_are_not_json_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        as_json(json.loads("1e999"))
