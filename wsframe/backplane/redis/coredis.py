"""Redis by coredis: one of its connections, without the pool and the pub/sub object above it.

These reconnect by themselves, and lose messages each time without a report: the iterator of messages ends in silence or
goes deaf, all topics must be subscribed again within a second, ``publish`` waits for ever. A bare connection does none
of this: when it ends, the session ends.

Its reader puts messages into an unbounded buffer, and its iterator takes one at a time. So we take all that have
arrived together: otherwise the buffer would grow for as long as a flood lasts.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
from anyio import ClosedResourceError, EndOfStream, WouldBlock
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from coredis.connection import (
    BaseConnection,
    TCPConnection,
    TCPLocation,
    UnixDomainSocketConnection,
    UnixDomainSocketLocation,
)

from wsframe.backplane.redis.address import RedisAddress
from wsframe.backplane.redis.connection import CONNECTED_WITHIN, Command, Push
from wsframe.doorbell import Signal
from wsframe.user_code.protected_nursery import ProtectedNursery

__all__ = ["open_coredis"]

# It logs each failed attempt with a traceback, and we say the same in one line.
logging.getLogger("coredis").setLevel(logging.CRITICAL)


class CoredisConnection:
    """The commands of one connection."""

    def __init__(self, connection: BaseConnection, push: Push) -> None:
        self._connection = connection
        self._push = push
        self._confirmed: dict[bytes, Signal] = {}

    async def commands(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands together, and return their answers."""
        requests = [self._connection.create_request(to_bytes(name), *rest) for name, *rest in commands]
        return [await one for one in requests]

    async def subscribe(self, channels: Collection[bytes]) -> None:
        """Receive the messages of channels; the last confirmation stands for all."""
        await self._confirm(b"SUBSCRIBE", channels)

    async def unsubscribe(self, channels: Collection[bytes]) -> None:
        """Stop receiving the messages of channels."""
        await self._confirm(b"UNSUBSCRIBE", channels)

    async def _confirm(self, command: bytes, channels: Collection[bytes]) -> None:
        names = list(channels)
        confirmed = self._confirmed[names[-1]] = Signal()
        self._connection.send_command(command, *names)
        await confirmed.wait()

    async def read(self) -> None:
        """Pass on the server's pushes until the connection ends, which raises."""
        buffer = getattr(self._connection, "_push_message_buffer_out", None)
        async for pushed in self._connection.push_messages:
            self._take(pushed)
            while buffer is not None:
                try:
                    self._take(buffer.receive_nowait())
                except (WouldBlock, EndOfStream, ClosedResourceError):
                    break

    def _take(self, pushed: list[Any]) -> None:
        if pushed[0] == b"message":
            self._push(pushed[1], pushed[2])
        elif pushed[0] in (b"subscribe", b"unsubscribe"):
            confirmed = self._confirmed.pop(pushed[1], None)
            if confirmed is not None:
                confirmed.fire()


def to_bytes(name: str | bytes) -> bytes:
    """Return the name of a command as coredis wants it."""
    return name.encode() if isinstance(name, str) else name


def connection_to(address: RedisAddress) -> BaseConnection:
    """Make a connection that is not open yet."""
    options: dict[str, Any] = {
        "connect_timeout": CONNECTED_WITHIN,
        "username": address.user,
        "password": address.password,
        "db": address.database,
    }
    if address.path:
        return UnixDomainSocketConnection(UnixDomainSocketLocation(address.path), **options)
    context = None
    if address.tls:
        context = ssl.create_default_context(cafile=address.ca)
        if address.cert is not None:
            context.load_cert_chain(address.cert, address.key)
    return TCPConnection(TCPLocation(address.host, address.port), ssl_context=context, **options)


@asynccontextmanager
async def open_coredis(address: RedisAddress, push: Push) -> AsyncIterator[CoredisConnection]:
    """Connect; the messages go to ``push`` until the block ends."""
    connection = connection_to(address)
    try:
        async with ProtectedNursery() as nursery:
            with trio.fail_after(CONNECTED_WITHIN):
                await nursery.start(connection.run)
            opened = CoredisConnection(connection, push)
            nursery.start_soon(opened.read)
            yield opened
            nursery.cancel()
    finally:
        for one in vars(connection).values():  # one that never was open leaves its streams behind
            if isinstance(one, MemoryObjectSendStream | MemoryObjectReceiveStream):
                one.close()
