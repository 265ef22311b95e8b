"""The commands of a client: from the text of one message to checked requests, without input or output.

A message has one command a line. A command is a JSON object with an ``id`` and one request under the name of its
method; ``{}`` answers a ping. Unknown members are ignored, as the protocol demands of both sides, and null stands for a
missing member.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Never

__all__ = ["METHODS", "PONG", "BadMessage", "Command", "decode"]

PONG = "pong"
"""The method of an empty command."""
SEND = "send"
MOST_POSITIONS = 10_000
"""Channels in a ``connect``: of an SDK those to which the server had subscribed the client."""
MOST = {"id": 2**32 - 1, "offset": 2**63 - 1, "limit": 2**31 - 1, "flag": 2**63 - 1, "type": 2**31 - 1}


class BadMessage(Exception):
    """A message that is not in the protocol; its text says why."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a client."""

    id: int
    """Above 0, and also in the reply; 0 for a pong and a ``send``, which have no reply."""
    method: str
    request: Mapping[str, Any]
    """The members of the request that the method knows, each of its type, and with its default if it is missing."""


def whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST[name]:
        raise BadMessage(f"{name} is not a number of the protocol")
    return value


def text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadMessage(f"{name} is not a string")
    return value


def flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise BadMessage(f"{name} is not true or false")
    return value


def limit(name: str, value: object) -> int:
    """Check a limit of a history; below 0 stands for no limit."""
    return -1 if isinstance(value, int) and not isinstance(value, bool) and value < 0 else whole(name, value)


def anything(name: str, value: object) -> object:
    return value


def object_of(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadMessage(f"{name} is not an object")
    return value


def position(name: str, value: object) -> Mapping[str, Any]:
    return members(object_of(name, value), POSITION)


def positions(name: str, value: object) -> Mapping[str, Mapping[str, Any]]:
    if len(object_of(name, value)) > MOST_POSITIONS:
        raise BadMessage(f"{name} has more than {MOST_POSITIONS} channels")
    return {channel: members(object_of(name, one), RECOVER) for channel, one in object_of(name, value).items()}


Check = Callable[[str, object], object]
Fields = Mapping[str, tuple[Check, object]]

CHANNEL: Fields = {"channel": (text, "")}
POSITION: Fields = {"offset": (whole, 0), "epoch": (text, "")}
RECOVER: Fields = {**POSITION, "recover": (flag, False), "flag": (whole, 0)}
SUBSCRIBE: Fields = {
    **CHANNEL, **RECOVER, "token": (text, ""), "data": (anything, None), "type": (whole, 0),
    "tf": (anything, None), "delta": (text, ""),
}  # fmt: skip

METHODS: Mapping[str, Fields] = {
    "connect": {"token": (text, ""), "data": (anything, None), "subs": (positions, {})},
    "subscribe": SUBSCRIBE,
    "unsubscribe": CHANNEL,
    "publish": {**CHANNEL, "data": (anything, None), "type": (whole, 0)},
    "presence": CHANNEL,
    "presence_stats": CHANNEL,
    "history": {**CHANNEL, "limit": (limit, 0), "since": (position, None), "reverse": (flag, False)},
    "ping": {},
    "send": {"data": (anything, None)},
    "rpc": {"method": (text, ""), "data": (anything, None)},
    "refresh": {"token": (text, "")},
    "sub_refresh": {**CHANNEL, "token": (text, ""), "type": (whole, 0)},
}
"""The methods, in the order in which the first counts if a command has several, and the members of their requests:
the check of the type, and the default."""


def members(given: Mapping[str, object], fields: Fields) -> Mapping[str, Any]:
    """Return the members that a request knows, checked."""
    return {
        name: default if (value := given.get(name)) is None else check(name, value)
        for name, (check, default) in fields.items()
    }


def not_json(constant: str) -> Never:
    raise BadMessage(f"{constant} is not JSON")


DECODER = json.JSONDecoder(parse_constant=not_json)


def decode(message: str, most: int) -> Iterator[Command]:
    """Decode one message into its commands, each when it is asked for: those before a bad one count, as in Centrifugo.

    Args:
        message: Commands, one a line.
        most: Commands of one message at most.

    Raises:
        BadMessage: For anything that is not in the protocol, when it is its turn.
    """
    number = 0
    for line in message.split("\n", most + 1):  # the rest of a longer one is not a command
        if line and not line.isspace():
            number += 1
            if number > most:
                raise BadMessage(f"more than {most} commands in a message")
            yield command_of(line)
    if not number:
        raise BadMessage("no command in a message")


def command_of(line: str) -> Command:
    """Decode one command."""
    try:
        given = DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"a command is not JSON: {type(error).__name__}") from None
    given = object_of("a command", given)
    method = next((name for name in METHODS if given.get(name) is not None), None)
    number = 0 if given.get("id") is None else whole("id", given["id"])
    if method is None:
        if number:
            raise BadMessage("a command has no method that is known")
        return Command(0, PONG, {})
    if not number and method != SEND:
        raise BadMessage(f"a {method} has no id")
    return Command(number, method, members(object_of(method, given[method]), METHODS[method]))
