"""Topics: messages for the clients that are subscribed, on this server and on others of the service.

A message that is published here goes into the outboxes of this server's subscribers in the same
call. A server with a backplane also sends it to the others that have subscribers of the topic, in an
envelope (``publication``). A message with history goes to the backplane alone, which gives it its place
among those of other servers, and comes back from there.

The order in which the pieces stand is that of a message from the backplane: it calls
:meth:`Topics.message`; the :class:`~wsframe.resources.topics.topic.Topic` opens it, and its tail passes it on in order.
Where messages are missing, the tail has :class:`~wsframe.resources.topics.recovery.Histories` ask for them, or each
resource with subscribers of the topic gets its hook ``missed`` or ``resync``, in its listener task. In the
meantime the topic's messages wait, so that a hole is known before the message behind it.

A protocol of its own, whose messages to clients name their position, does not subscribe clients. It listens::

    class Channel(Receiver):
        def publication(self, topic, publication): ...  # publication.data, .position, .sender; broadcast to its clients
        def missed(self, topic): ...                    # messages without history are missing
        def resync(self, topic, position): ...          # messages with history are lost

    recovery = await life.topics.histories.resume(topic, since)  # since: the client's Position, or None
    # no await from here on: the next publication is the one after recovery.position
    life.topics.listen(topic, channel)                           # again and again is harmless
    channel.clients.add(client)
    # recovery.publications: all that the client missed; None: not whole, it must begin again

Presence: ``topics.presences.enter(topic, Member(key, info))`` once for each connection, ``leave(topic, key)`` when it
is lost and ``leave(topic, key, at_once=True)`` when it unsubscribes; ``await presences.members(topic)`` lists all;
the receiver's ``joined`` and ``left`` tell of changes on any server.

``histories.newest``, ``since`` and ``kept`` answer from the engine, and ``publish_text(..., history=History())``
publishes. Positions are ``(epoch, offset)``; a topic without messages has the offset 0.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypedDict

from wsframe.backplane.interface import Backplane, History, Position
from wsframe.backplane.presence import Member
from wsframe.log import Log, log_for
from wsframe.protocol.frames import BINARY, TEXT
from wsframe.protocol.payload import BINARY_TYPES, TEXT_TYPES, BytesLike, bytes_of, encode
from wsframe.resources.broadcast import Broadcast, broadcast_binary, broadcast_text
from wsframe.resources.topics.interest import Interest
from wsframe.resources.topics.presences import Presences, check_member
from wsframe.resources.topics.publication import Key, Publication, check, check_topic, wrap_publication
from wsframe.resources.topics.recovery import Histories
from wsframe.resources.topics.topic import AnyClient, Receiver, Topic
from wsframe.user_code.protected_nursery import ProtectedNursery

__all__ = ["Key", "PublishOptions", "Topics"]

logger: Log = log_for(__name__)


class PublishOptions(TypedDict, total=False):
    """The options of a published message, as for :func:`wsframe.broadcast_text`, and its history."""

    exclude: AnyClient | Collection[AnyClient]
    key: Key
    compress: bool | None
    history: History | None


class Strays:
    """The lines of the log about messages that stay on this server."""

    def __init__(self) -> None:
        self.told: bool = False
        """Whether there was a line since another server could last be reached."""

    def tell(self, topic: str, up: bool, reached: bool) -> None:
        """Log each such message, or the first of a time in which no other server can be reached."""
        if up:
            logger.warning(
                "a message of %s stays on this server: too many wait for the backplane, or it is too large", repr(topic)
            )
        elif not self.told:
            self.told = True
            (logger.warning if reached else logger.info)(
                "messages stay on this server until the other servers or workers are reached; the first is of %s",
                repr(topic),
            )


class Topics:
    """The subscriptions of one server's clients.

    Args:
        backplane: The link to the other servers of the service; None if there are none.
        node: The name of this server among them; None makes one.
    """

    def __init__(self, backplane: Backplane | None = None, node: str | None = None) -> None:
        self.interest: Interest = Interest(backplane, node)
        self._topics = self.interest.topics
        self.reached: bool = backplane is None
        """Whether the backplane, if there is one, has ever been reached."""
        self.up: bool = False
        """Whether it can be reached now."""
        self._strays: Strays = Strays()
        self._topics_of: dict[AnyClient, set[str]] = {}
        self.histories: Histories = Histories(self.interest)
        self.presences: Presences = Presences(self.interest)

    # Subscriptions

    def subscribe(self, client: AnyClient, topic: str, *, keeps: bool = False, member: Member | None = None) -> None:
        """Have a client get the messages of a topic from now on, and be a member of it.

        ``keeps``: the topic is known to have a history.
        """
        check_topic(topic)
        if member is not None:
            check_member(member)
        self.enter(client, topic)
        if keeps and not self._topics[topic].tail.keeps:
            self.interest.engine()
            self._topics[topic].tail.keeps = True
            self.histories.need()
        if member is not None:
            self.presences.enter_client(client, topic, member)

    def enter(self, client: AnyClient, topic: str) -> None:
        """Do as :meth:`subscribe` does, also for a topic of wsframe's own."""
        self.interest.use(topic).subscribers[client] = None
        self._topics_of.setdefault(client, set()).add(topic)

    def unsubscribe(self, client: AnyClient, topic: str) -> None:
        """Stop sending a client the messages of a topic."""
        check_topic(topic)
        self.presences.leave_client(client, topic)
        topics = self._topics_of.get(client, set())
        if topic in topics:
            topics.discard(topic)
            if not topics:
                del self._topics_of[client]
            self._remove(client, topic)

    def leave(self, client: AnyClient) -> None:
        """Forget a client that has left its resource."""
        topics = self._topics_of.pop(client, None)
        if topics is not None:  # a member is always a subscriber too
            self.presences.forget_client(client)
            for topic in topics:
                self._remove(client, topic)

    def subscribers(self, topic: str, resource: object) -> list[AnyClient]:
        """Return the clients of a resource that are subscribed to a topic."""
        one = self._topics.get(topic)
        return [] if one is None else [client for client in one.subscribers if client.resource is resource]

    def of(self, client: AnyClient) -> Collection[str]:
        """Return the topics that a client is subscribed to."""
        return frozenset(self._topics_of.get(client, ()))

    def _remove(self, client: AnyClient, topic: str) -> None:
        one = self._topics[topic]
        del one.subscribers[client]
        self.interest.desert(one)

    def listen(self, topic: str, receiver: Receiver) -> None:
        """Have a receiver get the messages of a topic from now on, those published here included."""
        self.interest.use(topic).receivers[receiver] = None

    def unlisten(self, topic: str, receiver: Receiver) -> None:
        """Stop sending a receiver the messages of a topic."""
        one = self._topics.get(topic)
        if one is not None and one.receivers.pop(receiver, receiver) is None:
            self.interest.desert(one)

    # Publishing

    def forward(self, topic: str, opcode: int, data: bytes, key: Key, compress: bool | None) -> None:
        """Send a message to the subscribers of other servers alone."""
        others = self.interest.others
        if others is not None and not others.publish(topic, wrap_publication(opcode, data, key, compress)):
            self._strays.tell(topic, self.up, self.reached)

    def publish_text(
        self, topic: str, message: str | BytesLike, *, exclude: Any = (), key: Key = None,
        compress: bool | None = None, history: History | None = None,
    ) -> Broadcast:  # fmt: skip
        """Send a text message to the subscribers of a topic everywhere."""
        check(topic, key)
        if history is not None:
            data = encode(message) if isinstance(message, str) else bytes_of(message, TEXT_TYPES)
            return self._keep(topic, TEXT, data, exclude, key, compress, history)
        one = self._topics.get(topic)
        done = broadcast_text(
            () if one is None else one.subscribers, message, exclude=exclude, key=key, compress=compress
        )
        if self.interest.others is not None or (one is not None and one.receivers):
            data = encode(message) if isinstance(message, str) else bytes(message)
            self._send(one, topic, TEXT, data, key, compress)
        return done

    def publish_binary(
        self, topic: str, message: BytesLike, *, exclude: Any = (), key: Key = None,
        compress: bool | None = None, history: History | None = None,
    ) -> Broadcast:  # fmt: skip
        """Send a binary message to the subscribers of a topic everywhere."""
        check(topic, key)
        if history is not None:
            return self._keep(topic, BINARY, bytes_of(message, BINARY_TYPES), exclude, key, compress, history)
        one = self._topics.get(topic)
        done = broadcast_binary(
            () if one is None else one.subscribers, message, exclude=exclude, key=key, compress=compress
        )
        if self.interest.others is not None or (one is not None and one.receivers):
            data = bytes_of(message, BINARY_TYPES)
            self._send(one, topic, BINARY, data, key, compress)
        return done

    def _send(self, one: Topic | None, topic: str, opcode: int, data: bytes, key: Key, compress: bool | None) -> None:
        """Send a message that this server's subscribers have to the receivers and to other servers."""
        if one is not None and one.receivers:
            one.give(Publication(opcode, data, None, self.interest.node, key, compress))
        self.forward(topic, opcode, data, key, compress)

    def _keep(
        self, topic: str, opcode: int, data: bytes, exclude: Any, key: Key, compress: bool | None, history: History
    ) -> Broadcast:
        """Publish a message with history: it comes to the subscribers from the engine, in its place."""
        if not isinstance(history, History):
            raise TypeError(f"history is a wsframe.backplane.History or None, not {history!r}: give history=History()")
        if exclude or exclude is None:
            raise ValueError("a message with history has no exclude=: every subscriber's sequence must be whole")
        one = self._topics.get(topic)
        count = 0 if one is None else len(one.subscribers)
        kept = self.interest.keep(topic, wrap_publication(opcode, data, key, compress), history)
        return Broadcast(count, 0) if kept else Broadcast(0, count)

    # Reports of the backplane

    async def run(self) -> None:
        """Keep the link to the other servers until cancelled."""
        async with ProtectedNursery() as nursery:
            nursery.start_soon(self.histories.run)
            nursery.start_soon(self.presences.run)
            engine = await self.interest.needed()
            nursery.start_soon(self.interest.let_go, again=True)
            await engine.run(self.interest.node, self)

    def message(self, topic: str, payload: bytes, sender: str, position: Position | None) -> None:
        """Take a message of the backplane."""
        if self.interest.take(topic, payload):
            return
        one = self._topics.get(topic)
        if one is not None and (one.is_used or position is not None):
            one.take(payload, sender, position)

    def wanted(self, topic: str, position: Position | None) -> None:
        """Learn that later messages of a topic arrive."""
        self.interest.reached(topic)
        one = self._topics.get(topic)
        if one is not None:
            one.wanted(position)
            if one.tail.keeps:
                self.histories.need()

    def reach(self, up: bool) -> None:
        """Learn whether other servers can be reached."""
        self.up, self.reached = up, self.reached or up
        self._strays.told = self._strays.told and not up
        if self.interest.others is not None:
            logger.info(
                "the other servers or workers can be reached"
                if up
                else "the other servers or workers cannot be reached"
            )

    def gap(self, topic: str | None) -> None:
        """Learn that messages are missing."""
        for one in tuple(self._topics) if topic is None else (topic,):
            if one in self._topics:
                self._topics[one].tail.gap()
