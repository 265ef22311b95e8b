"""One topic on this server: its subscribers, its receivers, and the order in which messages reach them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import trio

from wsframe.backplane.interface import Position
from wsframe.backplane.presence import Member
from wsframe.backplane.sequence import Tail, TailState
from wsframe.log import Log, log_for
from wsframe.protocol.frames import TEXT
from wsframe.resources.broadcast import broadcast_binary, broadcast_text
from wsframe.resources.client import Client
from wsframe.resources.topics.publication import Publication, unwrap_publication

if TYPE_CHECKING:
    AnyClient = Client[Any]
else:
    AnyClient = Client

__all__ = ["Receiver", "Topic"]

logger: Log = log_for(__name__)


class Receiver:
    """Takes the messages of topics in place of clients, for protocols that wrap them.

    Its methods do not wait and do not raise. Override those that are needed.
    """

    def publication(self, topic: str, publication: Publication) -> None:
        """Take a message, in the order of the topic."""

    def wanted(self, topic: str) -> None:
        """Learn that from now on each message of other servers comes."""

    def missed(self, topic: str) -> None:
        """Learn that messages of a topic without history are missing, before the next one."""

    def resync(self, topic: str, position: Position) -> None:
        """Learn that messages before a position are missing and cannot be had, before the next one."""

    def joined(self, topic: str, member: Member) -> None:
        """Learn that a member has joined a topic, on any server."""

    def left(self, topic: str, member: Member) -> None:
        """Learn that a member has left a topic."""


class Topic:
    """One topic that has subscribers or receivers on this server, or had them a moment ago.

    Args:
        name: Its name.
        ask: Called when the engine must be asked for messages that are missing.
    """

    __slots__ = ("hooks", "name", "quiet", "receivers", "seen", "settled", "subscribers", "tail")

    def __init__(self, name: str, ask: Callable[[Topic], object]) -> None:
        self.name: str = name
        self.subscribers: dict[AnyClient, None] = {}
        self.receivers: dict[Receiver, None] = {}
        self.settled: trio.Event | None = None
        """For the tasks that wait until its position is known and nothing is asked."""
        self.seen: Position | None = None
        """The position at the last look, and for how many looks it has not changed."""
        self.quiet: int = 0
        self.hooks: int = 0
        """Hooks that must know of a hole before the topic goes on."""
        self.tail: Tail[Publication] = Tail(self._deliver, lambda: ask(self), self._tell)

    @property
    def is_used(self) -> bool:
        return bool(self.subscribers or self.receivers)

    def take(self, payload: bytes, sender: str, position: Position | None) -> None:
        """Take a message of the engine."""
        try:
            publication = unwrap_publication(payload, sender, position)
        except ValueError as error:
            logger.error("a message of another server is dropped: %s", error, kind=str(error))
            self.tail.unreadable(position)
        else:
            self.tail.message(publication, position, len(payload))

    def give(self, publication: Publication) -> None:
        """Give a message of this server to the receivers; the subscribers have it."""
        for receiver in tuple(self.receivers):
            receiver.publication(self.name, publication)

    def wanted(self, position: Position | None) -> None:
        """Learn that every later message comes."""
        self.tail.wanted(position)
        self.note()
        for receiver in tuple(self.receivers):
            receiver.wanted(self.name)

    def _deliver(self, publication: Publication) -> None:
        """Broadcast a message to the subscribers, and give it to the receivers."""
        if self.subscribers:
            self.send(publication, self.subscribers)
        if self.receivers:
            self.give(publication)

    def send(self, publication: Publication, clients: Collection[AnyClient]) -> None:
        """Send a message to clients."""
        try:
            send = broadcast_text if publication.opcode == TEXT else broadcast_binary
            send(clients, publication.data, key=publication.key, compress=publication.compress)
        except Exception as error:  # a client of version 0, which has no binary messages
            logger.error("a message of %s cannot be sent here", repr(self.name), exc_info=error)

    @property
    def delivered(self) -> Position | None:
        """The position up to which the subscribers have all kept messages, or know that they have not; else None."""
        return None if self.tail.state is TailState.TELLING else self.tail.position

    def lives(self) -> list[Any]:
        """Return the lives of the resources with subscribers."""
        lives = {id(life): life for client in self.subscribers if (life := client.resource._listener) is not None}
        return list(lives.values())

    @property
    def hook_for_holes(self) -> str:
        return "resync" if self.tail.keeps else "missed"

    def _tell(self) -> None:
        """Tell the resources with subscribers, and the receivers, that messages are missing."""
        tail = self.tail
        position = tail.position if tail.keeps else None
        lives = self.lives()
        self.hooks = len(lives) + 1
        for life in lives:
            life.notify(self.hook_for_holes, (self.name,), self._told)
        for receiver in tuple(self.receivers):
            if position is None:
                receiver.missed(self.name)
            else:
                receiver.resync(self.name, position)
        self._told()

    def _told(self) -> None:
        """Go on with the topic once all of its hooks know of the hole."""
        self.hooks -= 1
        if not self.hooks:
            self.tail.told()

    @property
    def is_settled(self) -> bool:
        """Whether its position is known, and nothing is being asked."""
        return self.tail.position is not None and self.tail.state in (TailState.OPEN, TailState.TELLING)

    @property
    def can_be_checked(self) -> bool:
        """Whether its position can be compared with that of the engine."""
        return self.tail.begun and self.tail.state is TailState.OPEN

    def note(self) -> None:
        """Wake the tasks that wait for it to be settled, if it is."""
        if self.settled is not None and (self.is_settled or self.can_be_checked):
            self.settled.set()
            self.settled = None

    async def changed(self) -> None:
        """Wait until it can be settled."""
        if self.settled is None:
            self.settled = trio.Event()
        await self.settled.wait()
