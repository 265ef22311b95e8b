"""Publishing on the topics of a service from a program that serves nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from secrets import token_hex

import trio

from wsframe.backplane.at_url import backplane_at
from wsframe.backplane.engines.supervised import SupervisedBackplane
from wsframe.backplane.interface import Backplane, History, Position
from wsframe.backplane.relay.backplane import RelayBackplane
from wsframe.doorbell import check_trio
from wsframe.protocol.frames import BINARY, TEXT
from wsframe.protocol.payload import BINARY_TYPES, TEXT_TYPES, BytesLike, bytes_of, encode
from wsframe.resources.topics.publication import Key, check, wrap_publication
from wsframe.user_code.errors import only_leaf
from wsframe.user_code.protected_nursery import ProtectedNursery

__all__ = ["Publisher", "open_backplane"]


class Publisher:
    """Publishes on a backplane; :func:`open_backplane` makes it. Its methods are for trio's thread."""

    def __init__(self, backplane: Backplane) -> None:
        self._backplane = backplane
        self._reached = trio.Event()

    def __repr__(self) -> str:
        return f"<Publisher {self._backplane!r}>"

    def publish_text(
        self,
        topic: str,
        message: str | BytesLike,
        *,
        key: Key = None,
        compress: bool | None = None,
        history: History | None = None,
    ) -> bool:
        """Queue a text message for the subscribers of a topic on all servers of the service.

        It does not wait. Options are those of :meth:`Resource.publish_text`.

        Return whether it was queued: False while the backplane cannot be reached, and while too much waits.

        Raises:
            TypeError, ValueError: For a topic, a message or a key that no server could take.
        """
        check(topic, key)
        data = encode(message) if isinstance(message, str) else bytes_of(message, TEXT_TYPES)
        return self._backplane.publish(topic, wrap_publication(TEXT, data, key, compress), keep=history)

    def publish_binary(
        self,
        topic: str,
        message: BytesLike,
        *,
        key: Key = None,
        compress: bool | None = None,
        history: History | None = None,
    ) -> bool:
        """Queue a binary message for the subscribers of a topic; see :meth:`publish_text`."""
        check(topic, key)
        data = bytes_of(message, BINARY_TYPES)
        return self._backplane.publish(topic, wrap_publication(BINARY, data, key, compress), keep=history)

    async def reached(self) -> None:
        """Wait until the backplane can be reached."""
        await self._reached.wait()

    # Reports of the backplane, of which only one is for a program that has no subscribers.

    def reach(self, up: bool) -> None:
        """Learn whether the backplane can be reached."""
        if up:
            self._reached.set()
        elif self._reached.is_set():
            self._reached = trio.Event()

    def message(self, topic: str, payload: bytes, sender: str, position: Position | None) -> None:
        """Learn of a message."""

    def wanted(self, topic: str, position: Position | None) -> None:
        """Learn that messages of a topic arrive."""

    def gap(self, topic: str | None) -> None:
        """Learn that messages are missing."""


@asynccontextmanager
async def open_backplane(backplane: str | Backplane, *, patience: float = 2.0) -> AsyncIterator[Publisher]:
    """Publish on the topics of a service while the body of an ``async with`` runs.

    For programs that serve nothing: a worker of a queue, a cron job, a web application. Entering waits until the
    backplane is reached; leaving waits until all queued messages have been sent.

    Args:
        backplane: The URL that the servers have, or a backplane.
        patience: Seconds for which leaving waits for messages that are queued. Default 2.

    Yields:
        The :class:`Publisher`.

    Raises:
        ValueError: For a URL that names no backplane.
        ModuleNotFoundError: Without the client library.
        BackplaneRefused: If the engine refuses us, such as for a wrong password.
    """
    check_trio()
    plane = backplane_at(backplane) if isinstance(backplane, str) else backplane
    publisher = Publisher(plane)
    node = f"{socket.gethostname()}:{os.getpid()}:{token_hex(4)}"
    failure: Exception | None = None
    try:
        async with ProtectedNursery() as nursery:
            await nursery.start(partial(plane.run, node, publisher))
            try:
                yield publisher
            except Exception as error:
                failure = error
            with trio.move_on_after(patience):
                await sent(plane)
            nursery.cancel()
    except BaseExceptionGroup as group:
        raise only_leaf(group) from None
    if failure is not None:
        raise failure


async def sent(backplane: Backplane) -> None:
    """Wait until a backplane has sent all: others than engines answer a request after the messages before it."""
    if isinstance(backplane, SupervisedBackplane | RelayBackplane):
        await backplane.sent()
    else:
        await backplane.newest("wsframe: sent")
