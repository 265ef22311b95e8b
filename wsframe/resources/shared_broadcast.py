"""Broadcasts of a resource of scope ``"shared"``: they reach its clients in all workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from wsframe.protocol.frames import TEXT
from wsframe.protocol.payload import BINARY_TYPES, BytesLike, bytes_of, encode
from wsframe.resources.broadcast import Broadcast, BroadcastOptions, broadcast_binary, broadcast_text
from wsframe.resources.topics.publication import OWN, Key, check_key

if TYPE_CHECKING:
    from wsframe.resources.life import Life

__all__ = ["broadcast_everywhere", "topic_of"]


def broadcast_everywhere(
    life: Life[Any], opcode: int, message: str | BytesLike, options: BroadcastOptions
) -> Broadcast:
    """Queue a message for the clients here, and send it to the other workers.

    Raises:
        TypeError, ValueError: As :func:`wsframe.broadcast_text` does, and for a key that is not a str or an int.
    """
    key = options.get("key")
    check_key(key)
    if opcode == TEXT:
        done = broadcast_text(tuple(life.clients), message, **options)
        data = encode(message) if isinstance(message, str) else bytes(message)
    else:
        done = broadcast_binary(tuple(life.clients), cast(BytesLike, message), **options)
        data = bytes_of(message, BINARY_TYPES)
    life.topics.forward(life.topic, opcode, data, cast(Key, key), options.get("compress"))
    return done


def topic_of(key: str) -> str:
    """Return the topic of a shared resource's broadcasts."""
    return f"{OWN}clients of {key}"
