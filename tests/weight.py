"""The weight of messages: the memory that the interpreter reports for them."""

from __future__ import annotations

from collections.abc import Iterable
from sys import getsizeof

from wsframe.connection.memory_budget import MESSAGE_COST
from wsframe.protocol.events import PongReceived

__all__ = ["cost_of", "weight_of"]


def weight_of(messages: Iterable[object]) -> int:
    """Add up the memory of messages beyond that of empty ones of their type; other events take nothing."""
    return sum(
        getsizeof(message) - getsizeof(type(message)()) for message in messages if isinstance(message, str | bytes)
    )


def cost_of(entries: Iterable[object]) -> int:
    """Add up the counted bytes of messages and pongs that wait for a hook."""
    waiting = [entry for entry in entries if isinstance(entry, str | bytes | PongReceived)]
    payloads = sum(len(entry.payload) for entry in waiting if isinstance(entry, PongReceived))
    return weight_of(waiting) + payloads + MESSAGE_COST * len(waiting)
