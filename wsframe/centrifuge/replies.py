"""Replies and pushes as text: each is one line of JSON.

Data of programs and of clients comes as JSON that is already encoded, so that nothing is encoded
twice. A message to a client is one such line, or several with newlines between them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from json import JSONEncoder
from math import ceil

from wsframe.centrifuge.errors import CentrifugeError

__all__ = [
    "PING",
    "ChannelPublication",
    "Info",
    "array",
    "as_json",
    "as_text",
    "error",
    "escaped",
    "expiry",
    "members",
    "push",
    "reply",
]

PING = "{}"
"""The ping of the server; a client answers with the same."""

PLAIN = JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
SURROGATE = re.compile("[\ud800-\udfff]")


def escaped(encoded: str) -> str:
    """Escape lone surrogates in JSON: clients can send them, and UTF-8 cannot have them."""
    if encoded.isascii():
        return encoded
    return SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", encoded)


def as_json(value: object) -> str:
    """Encode a value that came as JSON.

    Raises:
        ValueError: For an infinite number.
        RecursionError: For a value that is nested too deeply.
    """
    return escaped(PLAIN.encode(value))


as_text: Callable[[str], str] = as_json
"""Encodes a string."""


def members(given: Mapping[str, str | int | bool | None]) -> str:
    """Make an object of members that are JSON already, or numbers and flags; it leaves out None, 0 and False, the
    protocol's defaults."""
    present = ((name, value) for name, value in given.items() if value not in (None, False, 0))
    return "{" + ",".join(f'"{name}":{"true" if value is True else value}' for name, value in present) + "}"


def expiry(expires: float | None) -> dict[str, str | int | bool | None]:
    """Return the members that tell a client when it must refresh. SDKs count at least 1 s."""
    return {"expires": expires is not None, "ttl": None if expires is None else max(1, ceil(expires))}


def array(items: Iterable[str]) -> str:
    """Make an array of items that are JSON already."""
    return "[" + ",".join(items) + "]"


def reply(number: int, method: str, result: str = "{}") -> str:
    """Make the reply to a command."""
    return f'{{"id":{number},"{method}":{result}}}'


def error(number: int, refusal: CentrifugeError) -> str:
    """Make the reply to a command that is refused."""
    content = members(
        {"code": refusal.code, "message": as_text(refusal.message), "temporary": refusal.temporary}
    )  # fmt: skip
    return f'{{"id":{number},"error":{content}}}'


def push(kind: str, content: str, channel: str | None = None) -> str:
    """Make a push: ``pub``, ``join``, ``leave``, ``subscribe``, ``unsubscribe``, ``message``."""
    named = "" if channel is None else f'"channel":{as_text(channel)},'
    return f'{{"push":{{{named}"{kind}":{content}}}}}'


@dataclass(frozen=True, slots=True)
class Info:
    """A client, as others see it."""

    client: str
    user: str
    connection: str | None = None
    """JSON of the connection's information."""
    channel: str | None = None
    """JSON of the subscription's information."""

    def json(self) -> str:
        return members(
            {
                "user": as_text(self.user),
                "client": as_text(self.client),
                "conn_info": self.connection,
                "chan_info": self.channel,
            }
        )


@dataclass(frozen=True, slots=True)
class ChannelPublication:
    """A message in a channel."""

    data: str
    """JSON."""
    info: str | None = None
    """JSON of the client that published it; None for the server."""
    tags: str | None = None
    """JSON of an object of strings."""

    def json(self, offset: int = 0) -> str:
        """Encode it with its offset, if the channel has offsets."""
        return members({"data": self.data, "info": self.info, "offset": offset, "tags": self.tags})
