"""A backplane on Redis or Valkey: channels for topics, a list for each history, keys for leases."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from typing import Literal

import trio

from wsframe.backplane.engines.engine import BackplaneRefused, EngineLink, Take
from wsframe.backplane.engines.supervised import SupervisedBackplane
from wsframe.backplane.engines.url import one_line
from wsframe.backplane.queue import LIMIT
from wsframe.backplane.redis.address import RedisAddress, redis_address
from wsframe.backplane.redis.connection import CONNECTED_WITHIN, Open
from wsframe.backplane.redis.link import linked

__all__ = ["RedisBackplane", "Transport"]

Transport = Literal["auto", "glide", "coredis"]
"""The client library: ``"auto"`` is valkey-glide where it is installed, else coredis."""

PACKAGES = {"glide": "glide", "coredis": "coredis"}
WRONG = (
    "WRONGPASS",
    "NOAUTH",
    "invalid username-password",
    "Authentication",
    "HELLO must be called",
    "DB index is out of range",
)
MISSING = "a Redis backplane needs the extra 'redis': pip install 'wsframe[redis]'"


class RedisBackplane(SupervisedBackplane):
    """A backplane on a Redis or Valkey server, version 7 or later; needs ``wsframe[redis]``.

    Args:
        url: ``redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]``, ``rediss://`` for TLS, ``redis+unix:///PATH``; the
            same with ``valkey``. Options follow a question mark: ``service``, the prefix of all channels
            and keys (default ``wsframe``), and for TLS ``ca``, ``cert`` and ``key``, the paths of PEM files.
        transport: The client library: ``"glide"``, ``"coredis"``, or ``"auto"`` for the first that is installed.
        limit: Bytes that wait to be published before ``publish`` returns False. Default 8 MiB.

    Raises:
        ValueError: For another URL or transport.
        ModuleNotFoundError: Without the client library.
    """

    def __init__(self, url: str, *, transport: Transport = "auto", limit: int = LIMIT) -> None:
        super().__init__(RedisEngine(redis_address(url), opener(transport)), limit=limit)


def opener(transport: str) -> Open:
    """Return the function that connects by a client library."""
    if transport not in ("auto", *PACKAGES):
        raise ValueError(f"transport is 'auto', 'glide' or 'coredis', not {transport!r}")
    names = list(PACKAGES) if transport == "auto" else [transport]
    name = next((name for name in names if find_spec(PACKAGES[name]) is not None), None)
    if name is None:
        raise ModuleNotFoundError(MISSING)
    if name == "glide":
        from wsframe.backplane.redis.glide import open_glide

        return open_glide
    from wsframe.backplane.redis.coredis import open_coredis

    return open_coredis


class RedisEngine:
    """Connects to one server."""

    def __init__(self, address: RedisAddress, open_connection: Open) -> None:
        self.name: str = address.name
        self._address = address
        self._open_connection = open_connection

    def redacted(self, error: BaseException) -> str:
        """Describe an error in one line, without the password."""
        text, password = str(error), self._address.password
        return one_line(text.replace(password, "***") if password else text) or type(error).__name__

    @asynccontextmanager
    async def connect(self, take: Take) -> AsyncIterator[EngineLink]:
        """Connect, and look at the server."""
        prefix = f"{self._address.service}:".encode()

        def push(channel: bytes, message: bytes) -> None:
            take(channel[len(prefix) :].decode(), message)

        await self._knock()
        try:
            async with self._open_connection(self._address, push) as connection:
                yield await linked(connection, self._address.service)
        except* Exception as group:
            for error in leaves(group):
                if any(word in str(error) for word in WRONG):
                    raise BackplaneRefused(f"the backplane at {self.name} refuses us: {self.redacted(error)}") from None
            raise

    async def _knock(self) -> None:
        """Raise OSError where nobody listens, and TooSlowError where nobody answers.

        Client libraries take long to notice that, report it less clearly, and valkey-glide cannot be interrupted then.
        Any answer counts, also that of a server that wants a password or our certificate first.
        """
        with trio.fail_after(CONNECTED_WITHIN):
            stream: trio.abc.Stream
            if self._address.path:
                stream = await trio.open_unix_socket(self._address.path)
            else:
                stream = await trio.open_tcp_stream(self._address.host, self._address.port)
            try:
                with suppress(trio.BrokenResourceError):
                    if self._address.tls:
                        await trio.SSLStream(stream, unchecked(), server_hostname=self._address.host).do_handshake()
                    else:
                        await stream.send_all(b"PING\r\n")
                        await stream.receive_some(1)
            finally:
                await trio.aclose_forcefully(stream)


def unchecked() -> ssl.SSLContext:
    """Return a context for a handshake alone: nothing is sent over it, and the client library checks the
    certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    """Return the errors of a group and of those within."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error
