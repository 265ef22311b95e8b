"""The part of a resource that has to do with topics: its methods, and the hooks that tell of holes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar, Unpack

from wsframe.backplane.interface import History
from wsframe.backplane.presence import Member
from wsframe.log import Log, log_for, quoted
from wsframe.protocol.payload import BytesLike
from wsframe.resources.broadcast import Broadcast
from wsframe.resources.own_tasks import OwnTasks
from wsframe.resources.topics.publication import check_topic
from wsframe.resources.topics.topics import PublishOptions

if TYPE_CHECKING:
    from wsframe.resources.client import Client, DataT
else:
    DataT = TypeVar("DataT")

__all__ = ["TopicHooks"]

logger: Log = log_for(__name__)

NOBODY = Broadcast(0, 0)


class TopicHooks(OwnTasks[DataT]):
    """The methods and hooks of topics; :class:`Resource` has them.

    A topic has a name, and messages that are published on it reach each client that is subscribed to it, of any
    resource and on any server of the service.
    """

    history: ClassVar[History | None] = None
    """How much of each topic that it publishes on is kept, for clients and servers that miss messages."""

    def subscribe(self, client: Client[DataT], topic: str, *, member: Member | None = None) -> bool:
        """Have a client get all that is published to a topic from now on; return False if it has left.

        It leaves its topics with :meth:`disconnected`. Topics belong to the server, not to the resource.
        ``member`` makes it a member of the topic: :meth:`presence` lists those of all servers, and
        :meth:`joined` and :meth:`left` tell of changes.
        """
        life = self._life()
        if client not in life.clients or life.ownership.lost:
            check_topic(topic)  # a client in its place is not there either, and would end here without a word
            return False
        life.topics.subscribe(client, topic, keeps=self.history is not None, member=member)
        return True

    def unsubscribe(self, client: Client[DataT], topic: str) -> None:
        """Stop sending a client the messages of a topic."""
        self._life().topics.unsubscribe(client, topic)

    def publish_text(self, topic: str, message: str | BytesLike, **options: Unpack[PublishOptions]) -> Broadcast:
        """Queue a text message for a topic's subscribers, of any resource; return how many of this server got it.

        Options as for :func:`wsframe.broadcast_text`: ``exclude``, ``key`` (a str or an int), ``compress``; and
        ``history`` for a topic with another one than :attr:`history`. With history there is no ``exclude``.
        """
        options.setdefault("history", self.history)
        life = self._life()
        return NOBODY if life.ownership.lost else life.topics.publish_text(topic, message, **options)

    def publish_binary(self, topic: str, message: BytesLike, **options: Unpack[PublishOptions]) -> Broadcast:
        """Queue a binary message for a topic's subscribers; see :meth:`publish_text`."""
        options.setdefault("history", self.history)
        life = self._life()
        return NOBODY if life.ownership.lost else life.topics.publish_binary(topic, message, **options)

    async def presence(self, topic: str) -> list[Member]:
        """Return the members of a topic on all servers, in the order of their joins: :meth:`Server.presence`."""
        check_topic(topic)
        return await self._life().topics.presences.members(topic)

    async def missed(self, topic: str) -> None:
        """Make up for messages of a topic that other servers published and this one did not get.

        It is called in the listener task of the worker that has missed them, before the next message of the topic:
        send its clients the state, by ``broadcast_text(self.clients, ...)``, or have them ask for it. The default logs
        a warning.
        """
        logger.warning("%s has missed messages of topic %s", type(self).__name__, quoted(topic), kind=type(self))

    async def resync(self, topic: str) -> None:
        """Make up for messages of a topic with history that are lost: not kept any more, or the engine forgot them.

        It is called as :meth:`missed` is. The default logs, and calls :meth:`snapshot` for each client with the topic.
        """
        logger.warning("%s has lost messages of topic %s", type(self).__name__, quoted(topic), kind=type(self))
        for client in self._life().topics.subscribers(topic, self):
            await self.snapshot(client, topic)

    async def snapshot(self, client: Client[DataT], topic: str) -> None:
        """Send a client the state of a topic, in place of messages it does not get. The default sends nothing."""

    async def joined(self, topic: str, member: Member) -> None:
        """Take note that a member has joined a topic, on any server. The default does nothing.

        It is called in the listener task of each resource with subscribers of the topic, in each worker: tell the
        clients of this one, by ``broadcast_text(self.clients, ...)``.
        """

    async def left(self, topic: str, member: Member) -> None:
        """Take note that a member has left a topic: its last connection was lost 10 s ago, or unsubscribed."""
