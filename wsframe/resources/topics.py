"""Topics: messages for the clients that are subscribed, on this server and on others of the service.

A message that is published here goes into the outboxes of this server's subscribers in the same
call. A server with a backplane also sends it to the others that have subscribers of the topic, as
an envelope: a version, the kind of the message, and what the outbox needs to know.

The order in which the pieces stand is that of a message from another server: the backplane calls
:meth:`Topics.message`, which decodes it and broadcasts it to the subscribers. Where messages are
missing, the backplane calls :meth:`Topics.gap`: each resource with subscribers of the topic gets
its hook ``missed``, in its listener task, and until all these hooks have returned the topic's
messages wait here, so that the hole is known before the message behind it.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Collection
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypedDict

import trio

from wsframe.backplane.interface import Backplane, Position
from wsframe.log import Log, log_for
from wsframe.protocol.frames import BINARY, TEXT
from wsframe.protocol.payload import BINARY_TYPES, Octets, encode, octets_of
from wsframe.resources.broadcast import Broadcast, broadcast_binary, broadcast_text
from wsframe.resources.client import Client
from wsframe.resources.interest import Interest

if TYPE_CHECKING:
    AnyClient = Client[Any]
else:
    AnyClient = Client

__all__ = ["LONGEST_TOPIC", "OWN", "Key", "PublishOptions", "Topics", "check_key"]

logger: Log = log_for(__name__)

Key = str | int | None
"""The key of a published message, which other servers must understand."""

OWN = "wsframe: "
"""The beginning of topics that programs cannot name."""
LONGEST_TOPIC = 255
"""Bytes of the longest name of a topic."""
MOST_HELD = 1_000
"""Messages of a topic that wait for its ``missed`` hooks; beyond them there is another gap."""
VERSION = 1
KINDS = {TEXT: b"t", BINARY: b"b"}


class PublishOptions(TypedDict, total=False):
    """The options of a published message, as for :func:`wsframe.broadcast_text`."""

    exclude: AnyClient | Collection[AnyClient]
    key: Key
    compress: bool | None


class Hold:
    """The messages of one topic that wait for ``missed`` hooks."""

    def __init__(self) -> None:
        self.hooks = 0
        self.messages: list[bytes] = []
        self.overflowed = False


class Topics:
    """The subscriptions of one server's clients.

    Args:
        backplane: The link to the other servers of the service; None if there are none.
    """

    def __init__(self, backplane: Backplane | None = None) -> None:
        self._backplane = backplane
        self._subscribers: dict[str, dict[AnyClient, None]] = {}
        self._topics_of: dict[AnyClient, set[str]] = {}
        self.interest: Interest = Interest(backplane)
        self._holds: dict[str, Hold] = {}

    # Subscriptions

    def subscribe(self, client: AnyClient, topic: str) -> None:
        """Have a client get the messages of a topic from now on."""
        check_topic(topic)
        self.enter(client, topic)

    def enter(self, client: AnyClient, topic: str) -> None:
        """Do as :meth:`subscribe` does, also for a topic of wsframe's own."""
        subscribers = self._subscribers.get(topic)
        if subscribers is None:
            subscribers = self._subscribers[topic] = {}
            self.interest.subscribed(topic)
        subscribers[client] = None
        self._topics_of.setdefault(client, set()).add(topic)

    def unsubscribe(self, client: AnyClient, topic: str) -> None:
        """Have a client get the messages of a topic no longer."""
        check_topic(topic)
        topics = self._topics_of.get(client, set())
        if topic in topics:
            topics.discard(topic)
            if not topics:
                del self._topics_of[client]
            self._remove(client, topic)

    def leave(self, client: AnyClient) -> None:
        """Forget a client that has left its resource."""
        for topic in self._topics_of.pop(client, ()):
            self._remove(client, topic)

    def of(self, client: AnyClient) -> Collection[str]:
        """Return the topics that a client is subscribed to."""
        return frozenset(self._topics_of.get(client, ()))

    def _remove(self, client: AnyClient, topic: str) -> None:
        subscribers = self._subscribers[topic]
        del subscribers[client]
        if not subscribers:
            del self._subscribers[topic]
            self.interest.deserted(topic)

    # Publishing

    def forward(self, topic: str, opcode: int, data: bytes, key: Key, compress: bool | None) -> None:
        """Send a message to the subscribers of other servers alone."""
        if self._backplane is not None:
            self._send(topic, envelope(opcode, data, key, compress))

    def publish_text(
        self, topic: str, message: str | Octets, *, exclude: Any = (), key: Key = None, compress: bool | None = None
    ) -> Broadcast:
        """Send a text message to the subscribers of a topic everywhere."""
        check(topic, key)
        done = broadcast_text(self._here(topic), message, exclude=exclude, key=key, compress=compress)
        if self._backplane is not None:
            data = encode(message) if isinstance(message, str) else bytes(message)
            self._send(topic, envelope(TEXT, data, key, compress))
        return done

    def publish_binary(
        self, topic: str, message: Octets, *, exclude: Any = (), key: Key = None, compress: bool | None = None
    ) -> Broadcast:
        """Send a binary message to the subscribers of a topic everywhere."""
        check(topic, key)
        done = broadcast_binary(self._here(topic), message, exclude=exclude, key=key, compress=compress)
        if self._backplane is not None:
            self._send(topic, envelope(BINARY, octets_of(message, BINARY_TYPES), key, compress))
        return done

    def _here(self, topic: str) -> Collection[AnyClient]:
        return self._subscribers.get(topic, ())

    def _send(self, topic: str, payload: bytes) -> None:
        assert self._backplane is not None
        if not self._backplane.publish(topic, payload):
            logger.warning("a message of %s stays on this server: the backplane cannot take it", repr(topic))

    # Reports of the backplane

    async def run(self) -> None:
        """Keep the link to the other servers until cancelled."""
        if self._backplane is None:
            return
        node = f"{socket.gethostname()}:{os.getpid()}:{token_hex(4)}"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.interest.let_go, self._backplane)
            await self._backplane.run(node, self)

    def message(self, topic: str, payload: bytes, sender: str, position: Position | None) -> None:
        """Take a message of another server."""
        if self.interest.take(topic, payload):
            return
        hold = self._holds.get(topic)
        if hold is None:
            self._deliver(topic, payload)
        elif len(hold.messages) < MOST_HELD:
            hold.messages.append(payload)
        else:
            hold.overflowed = True

    def wanted(self, topic: str, position: Position | None) -> None:
        """Learn that later messages of a topic arrive."""
        self.interest.reached(topic)

    def reach(self, up: bool) -> None:
        """Learn whether other servers can be reached."""
        logger.info("other servers can be reached" if up else "other servers cannot be reached")

    def gap(self, topic: str | None) -> None:
        """Tell the resources with subscribers that messages are missing."""
        for one in tuple(self._subscribers) if topic is None else (topic,):
            self._tell_missed(one)

    def _tell_missed(self, topic: str) -> None:
        lives = {id(life): life for client in self._here(topic) if (life := client.resource._listener) is not None}
        hold = self._holds.setdefault(topic, Hold())
        hold.hooks += len(lives) + 1
        hold.overflowed = False
        hold.messages.clear()  # older than the gap, or missing as well
        for life in lives.values():
            life.report_missed(topic, lambda: self._told(topic, hold))
        self._told(topic, hold)

    def _told(self, topic: str, hold: Hold) -> None:
        """Go on with a topic once all of its hooks know of the gap."""
        hold.hooks -= 1
        if not hold.hooks:
            del self._holds[topic]
            for payload in hold.messages:
                self._deliver(topic, payload)
            if hold.overflowed:
                self._tell_missed(topic)

    def _deliver(self, topic: str, payload: bytes) -> None:
        """Broadcast a message of another server to the subscribers here."""
        subscribers = self._here(topic)
        if not subscribers:
            return
        try:
            opcode, data, key, compress = opened(payload)
        except ValueError as error:
            logger.error("a message of another server is dropped: %s", error, kind=str(error))
            self._tell_missed(topic)
            return
        try:
            send = broadcast_text if opcode == TEXT else broadcast_binary
            send(subscribers, data, key=key, compress=compress)
        except Exception as error:  # a client of version 0, which has no binary messages
            logger.error("a message of %s cannot be sent here", repr(topic), exc_info=error)


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
        raise ValueError(f"topics that begin with {OWN!r} are wsframe's own")


def envelope(opcode: int, data: bytes, key: Key, compress: bool | None) -> bytes:
    """Wrap a message for other servers: version, kind, length of the options, options as JSON, and the message."""
    options = b"" if key is None and compress is None else json.dumps([key, compress]).encode()
    return b"".join((bytes((VERSION,)), KINDS[opcode], len(options).to_bytes(4, "little"), options, data))


def opened(payload: bytes) -> tuple[int, bytes, Key, bool | None]:
    """Unwrap a message of another server.

    Raises:
        ValueError: If this version of wsframe cannot read it.
    """
    if payload[:1] != bytes((VERSION,)):
        raise ValueError(f"its version is {payload[0] if payload else 'missing'}, not {VERSION}")
    opcode = next((opcode for opcode, kind in KINDS.items() if kind == payload[1:2]), None)
    start = 6 + int.from_bytes(payload[2:6], "little")
    if opcode is None or len(payload) < start:
        raise ValueError("it is cut off, or of an unknown kind")
    key, compress = json.loads(payload[6:start]) if start > 6 else (None, None)
    return opcode, payload[start:], key, compress
