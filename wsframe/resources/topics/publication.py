"""A message of a topic, and its form between servers: an envelope.

An envelope is a version, the kind of the message, the length of the options, the options as JSON, and
the message.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from wsframe.backplane.interface import Position
from wsframe.protocol.frames import BINARY, TEXT
from wsframe.protocol.payload import encode

__all__ = [
    "LONGEST_TOPIC",
    "OWN",
    "Key",
    "Publication",
    "check",
    "check_key",
    "check_topic",
    "unwrap_publication",
    "wrap_publication",
]

Key = str | int | None
"""The key of a published message, which other servers must understand."""

LONGEST_TOPIC = 255
"""Bytes of the longest name of a topic."""
OWN = "wsframe: "
"""The beginning of topics that programs cannot name."""
VERSION = 1
KINDS = {TEXT: b"t", BINARY: b"b"}
OPCODES = {kind[0]: opcode for opcode, kind in KINDS.items()}


class Publication(NamedTuple):
    """A message that was published on a topic."""

    opcode: int
    data: bytes
    """Its bytes; of a text message UTF-8."""
    position: Position | None
    """Its place in the topic's history; None if it is not kept."""
    sender: str
    """The name of the server that published it."""
    key: Key = None
    compress: bool | None = None

    @property
    def message(self) -> str | bytes:
        """The message as it was published: str or bytes."""
        return self.data.decode() if self.opcode == TEXT else self.data


def check(topic: object, key: object) -> None:
    """Raise for a topic or a key that other servers could not understand."""
    check_topic(topic)
    check_key(key)


def check_key(key: object) -> None:
    """Raise for a key that other servers could not understand."""
    if not isinstance(key, str | int | None):
        raise TypeError(f"the key of a published message is a str, an int or None, not {type(key).__name__}")


def check_topic(topic: object) -> None:
    """Raise for a value that is not the name of a topic."""
    if not isinstance(topic, str):
        raise TypeError(f"a topic is a str, not {type(topic).__name__}")
    size = len(encode(topic))
    if not 0 < size <= LONGEST_TOPIC:
        raise ValueError(f"the name of a topic has 1 to {LONGEST_TOPIC} bytes, not {size}")
    if topic.startswith(OWN):
        raise ValueError(f"topics that begin with {OWN!r} are wsframe's own: {topic!r} needs another name")


def wrap_publication(opcode: int, data: bytes, key: Key, compress: bool | None) -> bytes:
    """Wrap a message for other servers."""
    options = b"" if key is None and compress is None else json.dumps([key, compress]).encode()
    return b"".join((bytes((VERSION,)), KINDS[opcode], len(options).to_bytes(4, "little"), options, data))


def unwrap_publication(payload: bytes, sender: str, position: Position | None) -> Publication:
    """Unwrap a message of another server.

    Raises:
        ValueError: If this version of wsframe cannot read it.
    """
    if not payload or payload[0] != VERSION:
        raise ValueError(f"its version is {payload[0] if payload else 'missing'}, not {VERSION}")
    opcode = OPCODES.get(payload[1]) if len(payload) >= 6 else None
    start = 6 + int.from_bytes(payload[2:6], "little")
    if opcode is None or len(payload) < start:
        raise ValueError("it is cut off, or of an unknown kind")
    key, compress = options_of(payload[6:start]) if start > 6 else (None, None)
    return Publication(opcode, payload[start:], position, sender, key, compress)


def options_of(text: bytes) -> tuple[Key, bool | None]:
    """Return the key of a message, and whether to compress it.

    Raises:
        ValueError: If no server of this version sends such options.
    """
    try:
        key, compress = json.loads(text)
        check_key(key)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"its options are not a key and a flag: {type(error).__name__}") from None
    if not isinstance(compress, bool | None):
        raise ValueError(f"its options are not a key and a flag: {type(compress).__name__}")
    return key, compress
