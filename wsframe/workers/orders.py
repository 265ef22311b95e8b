"""The messages between the supervisor and a worker: one table, and their bytes.

They go through a pair of sockets that keeps message boundaries, each as one line of JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from wsframe.protocol.close import may_be_sent

__all__ = ["FORMAT", "FROM_SUPERVISOR", "FROM_WORKER", "LONGEST", "ControlMessage", "decode_message", "encode_message"]

FORMAT: Final = 4
"""The number of all that a supervisor and its workers share: these messages, the board, the doors, the descriptors
that workers inherit. Count it up with a change of any of them, but never change ``failed``. After an upgrade of
wsframe the supervisor is still the old one, and a worker of another number does not start."""

LONGEST: Final = 60_000
"""Bytes of a message at most."""

FROM_WORKER: Final[dict[str, tuple[str, ...]]] = {
    # Every running() has been entered, and nothing is accepted yet.
    "ready": (),
    # It cannot start; the reason in one line.
    "failed": ("reason",),
    # Its program ends the service: server.close(), or SystemExit in user code, whose status the process has.
    "ending": ("code", "lame_duck"),
    # It has left these partitions: no life of them runs in it, nor begins again.
    "over": ("partitions",),
}
"""The messages of a worker, and the fields of each."""

FROM_SUPERVISOR: Final[dict[str, tuple[str, ...]]] = {
    # Every slot has been ready once; the first time slot 0 tells the program that the service has started.
    "accept": ("started",),
    # Drain, with this close code, after this many seconds as a lame duck.
    "drain": ("code", "lame_duck"),
    # Cancel everything that still runs.
    "hurry": (),
    # Leave its partitions to the next generation, which is ready, and end.
    "leave": (),
    # No other process has these partitions any more: their lives can begin.
    "begin": ("partitions",),
}
"""The messages of the supervisor, and the fields of each."""

KINDS: Final[dict[str, Callable[[Any], bool]]] = {
    "reason": lambda value: type(value) is str,
    "code": lambda value: type(value) is int and may_be_sent(value),
    "lame_duck": lambda value: type(value) in (int, float) and value >= 0,  # NaN is not
    "partitions": lambda value: type(value) is list and all(type(one) is int for one in value),
    "started": lambda value: type(value) is bool,
}
"""Whether a value is one of a field."""

TABLE: Final = FROM_WORKER | FROM_SUPERVISOR


class ControlMessage(NamedTuple):
    """A message of the table."""

    name: str
    fields: dict[str, Any]


def encode_message(name: str, **fields: Any) -> bytes:
    """Return the bytes of a message.

    Raises:
        ValueError: For a message that is not in the table, or too long.
    """
    if name not in TABLE or set(fields) != set(TABLE[name]):
        raise ValueError(f"no message {name!r} has the fields {sorted(fields)}")
    for field, value in fields.items():
        if not KINDS[field](value):  # the other side would drop the message
            raise ValueError(f"{field} of a message {name!r} cannot be {value!r}")
    data = json.dumps([name, fields]).encode()
    if len(data) > LONGEST:
        raise ValueError(f"a message {name!r} has {len(data)} bytes; at most {LONGEST} fit")
    return data


def decode_message(data: bytes) -> ControlMessage:
    """Read a message.

    Raises:
        ValueError: For bytes that are not a message of the table.
    """
    try:
        name, fields = json.loads(data)
        known = set(fields) == set(TABLE[name]) and all(KINDS[field](value) for field, value in fields.items())
    except (AttributeError, TypeError, KeyError, ValueError, RecursionError, OverflowError):
        known, name, fields = False, "", {}
    if not known:
        raise ValueError(f"not a message between supervisor and worker: {data[:100]!r}")
    return ControlMessage(name, fields)
