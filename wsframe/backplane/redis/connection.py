"""The few functions that a client library has to offer for Redis: connect, commands, subscribe, unsubscribe."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from wsframe.backplane.redis.address import RedisAddress

__all__ = ["CONNECTED_WITHIN", "Command", "Open", "Push", "RedisConnection"]

CONNECTED_WITHIN = 2.0
"""Seconds in which a connection is made, TLS and login included."""

Command = tuple[str | bytes, ...]
Push = Callable[[bytes, bytes], object]
"""Called with a channel and a message."""


class RedisConnection(Protocol):
    """The commands of one connection, which never connects again."""

    async def commands(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands together, in order, and return their answers; an error among them is raised."""

    async def subscribe(self, channels: Collection[bytes]) -> None:
        """Receive the messages of channels from now on."""

    async def unsubscribe(self, channels: Collection[bytes]) -> None:
        """Stop receiving the messages of channels."""


Open = Callable[[RedisAddress, Push], AbstractAsyncContextManager[RedisConnection]]
