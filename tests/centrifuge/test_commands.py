"""The commands of clients, as text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsframe.centrifuge import commands
from wsframe.centrifuge.commands import METHODS, PONG, BadMessage, Command


def decode(message: str, most: int) -> list[Command]:
    return list(commands.decode(message, most))


def test_a_message_has_one_command_a_line() -> None:
    assert decode('{"id":1,"ping":{}}\n{"id":2,"rpc":{"method":"m","data":[1]}}\n', 2) == [
        Command(1, "ping", {}),
        Command(2, "rpc", {"method": "m", "data": [1]}),
    ]


def test_an_empty_command_is_a_pong() -> None:
    assert decode("{}", 1) == [Command(0, PONG, {})]


def test_members_that_are_missing_or_null_have_their_default() -> None:
    wanted = {"channel": "c", "limit": 0, "since": None, "reverse": False}
    assert decode('{"id":1,"history":{"channel":"c"}}', 1)[0].request == wanted
    assert decode('{"id":1,"history":{"channel":"c","limit":null,"since":null}}', 1)[0].request == wanted


def test_members_that_are_not_known_are_ignored() -> None:
    assert decode('{"id":7,"unsubscribe":{"channel":"c","later":1},"more":[]}', 1) == [
        Command(7, "unsubscribe", {"channel": "c"})
    ]


def test_the_first_method_in_the_order_of_the_protocol_counts() -> None:
    assert decode('{"id":1,"rpc":{},"connect":{}}', 1)[0].method == "connect"


def test_a_position_is_inside_of_a_history() -> None:
    request = decode('{"id":1,"history":{"channel":"c","since":{"offset":5,"epoch":"e"},"limit":-1}}', 1)[0].request
    assert (request["since"], request["limit"]) == ({"offset": 5, "epoch": "e"}, -1)


def test_positions_of_server_subscriptions_are_in_connect() -> None:
    request = decode('{"id":1,"connect":{"subs":{"a":{"recover":true,"offset":3,"epoch":"e"}}}}', 1)[0].request
    sub = request["subs"]["a"]
    assert (sub["recover"], sub["offset"], sub["epoch"]) == (True, 3, "e")


def test_a_send_needs_no_id() -> None:
    assert decode('{"send":{"data":1}}', 1)[0] == Command(0, "send", {"data": 1})


@pytest.mark.parametrize(
    "message",
    [
        "",
        "\n\n",
        "x",
        "[]",
        "null",
        "1",
        '"{}"',
        '{"id":1}',
        '{"id":1,"nope":{}}',
        '{"rpc":{}}',
        '{"id":0,"rpc":{}}',
        '{"id":-1,"rpc":{}}',
        '{"id":4294967296,"rpc":{}}',
        '{"id":1.5,"rpc":{}}',
        '{"id":true,"rpc":{}}',
        '{"id":"1","rpc":{}}',
        '{"id":1,"rpc":[]}',
        '{"id":1,"rpc":"x"}',
        '{"id":1,"rpc":false}',
        '{"id":1,"rpc":{"method":1}}',
        '{"id":1,"rpc":{"data":NaN}}',
        '{"id":1,"rpc":{"data":-Infinity}}',
        '{"id":1,"subscribe":{"channel":["c"]}}',
        '{"id":1,"subscribe":{"channel":"c","recover":1}}',
        '{"id":1,"subscribe":{"channel":"c","offset":-1}}',
        '{"id":1,"subscribe":{"channel":"c","offset":1e3}}',
        '{"id":1,"subscribe":{"channel":"c","offset":9223372036854775808}}',
        '{"id":1,"history":{"channel":"c","since":[]}}',
        '{"id":1,"history":{"channel":"c","since":{"offset":"5"}}}',
        '{"id":1,"connect":{"subs":[]}}',
        '{"id":1,"connect":{"subs":{"a":1}}}',
        '{"id":1,"connect":{"subs":{"a":{"epoch":1}}}}',
        json.dumps({"id": 1, "connect": {"subs": {str(number): {} for number in range(10_001)}}}),
        '{"id":1,"ping":{}}{"id":2,"ping":{}}',
        '{"id":1,"rpc":{"data":' + "[" * 100_000,
        '{"id":1,"rpc":{"data":' + "[" * 100_000 + "]" * 100_000 + "}}",
        '{"id":1,"rpc":{"data":' + "1" * 5_000 + "}}",
    ],
)
def test_anything_else_is_a_bad_message(message: str) -> None:
    with pytest.raises(BadMessage):
        decode(message, 10)


def test_commands_of_a_message_are_bounded() -> None:
    ping = '{"id":1,"ping":{}}\n'
    assert len(decode(ping * 3, 3)) == 3
    for count in (4, 5, 100_000):
        with pytest.raises(BadMessage, match="more than 3 commands"):
            decode(ping * count, 3)
    assert len(decode("\n" * 100_000 + ping, 3)) == 1


def test_a_bad_command_costs_those_behind_it_alone() -> None:
    found = commands.decode('{"id":1,"ping":{}}\n{"id":2\n{"id":3,"ping":{}}', 3)
    assert next(found).id == 1
    with pytest.raises(BadMessage):
        next(found)
    assert list(found) == []


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from([name for fields in METHODS.values() for name in fields] + ["x"])
REQUESTS = st.dictionaries(NAMES, JSON, max_size=4)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["id", *METHODS, "x"]), JSON | REQUESTS, max_size=3))
def test_any_json_is_a_command_or_a_bad_message(command: dict[str, Any]) -> None:
    try:
        (decoded,) = decode(json.dumps(command), 1)
    except BadMessage:
        return
    assert decoded.method == PONG or decoded.method in METHODS


@given(st.text())
def test_any_text_is_commands_or_a_bad_message(message: str) -> None:
    try:
        assert decode(message, 5)
    except BadMessage:
        return
