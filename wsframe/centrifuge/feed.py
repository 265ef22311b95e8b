"""The publications of channels: to the topics of the service, and from there to the clients of one resource."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from wsframe.backplane.interface import Position
from wsframe.backplane.presence import Member
from wsframe.centrifuge.errors import CentrifugeError
from wsframe.centrifuge.hooks import Hooks
from wsframe.centrifuge.presence import Presence
from wsframe.centrifuge.replies import array, as_text, members
from wsframe.centrifuge.session import PREFIX, Channel, Sessions, topic_of
from wsframe.log import Log, log_for, quoted
from wsframe.protocol.frames import TEXT
from wsframe.protocol.payload import encode
from wsframe.resources.broadcast import broadcast_text
from wsframe.resources.topics.publication import Publication, wrap_publication
from wsframe.resources.topics.topic import Receiver
from wsframe.resources.topics.topics import Topics

__all__ = ["Beginning", "Feed"]

logger: Log = log_for(__name__)

FIRST = b'{"data":'
"""The beginning of each publication in a topic; other messages are not ours."""
REJECT_UNRECOVERED = 2
"""The flag of a subscribe that wants error 112 instead of a subscription that has missed something."""


def epoch_text(epoch: int) -> str:
    """Return an epoch as clients have it."""
    return f"{epoch:x}"


class Beginning(NamedTuple):
    """The place in a channel from which a subscription goes on, and the publications before it."""

    position: Position
    recovered: list[Publication] | None
    """All that the client has missed; None if it did not ask, or they are not all kept."""
    offset: int
    """The place for the client: its own if it has recovered, else the place of the newest publication."""

    def json(self) -> dict[str, str | int | bool | None]:
        """Return the members of the reply."""
        found = self.recovered
        return {
            "recoverable": True,
            "positioned": True,
            "epoch": as_text(epoch_text(self.position.epoch)),
            "offset": self.offset,
            "recovered": found is not None,
            "publications": array(map(publication_text, found)) if found else None,
        }


class Feed(Receiver):
    """Listens to the topics of channels that clients of one resource are subscribed to.

    Args:
        hooks: The resource.
        sessions: Its clients.
        topics: The topics of the server.
        lose: Called with a channel whose clients must begin again.
    """

    def __init__(self, hooks: Hooks, sessions: Sessions, topics: Topics, lose: Callable[[Channel], None]) -> None:
        self._hooks = hooks
        self._sessions = sessions
        self._topics = topics
        self._lose = lose
        self.presence: Presence = Presence(topics)

    def publish(self, channel: str, publication: str) -> bool:
        """Publish to a channel on all servers; ``publication`` is JSON. Return False if the history cannot take it."""
        topic, history = topic_of(channel), self._hooks.history_of(channel)
        if history is not None:
            return self._topics.interest.keep(topic, wrap_publication(TEXT, encode(publication), None, None), history)
        self._topics.publish_text(topic, publication)
        return True

    def listen(self, channel: Channel) -> None:
        """Have the channel's publications come."""
        self._topics.listen(topic_of(channel.name), self)

    def unlisten(self, channel: Channel) -> None:
        """Stop the channel's publications: the last subscription has ended."""
        self._topics.unlisten(topic_of(channel.name), self)

    # Positions

    async def resume(self, channel: str, request: Mapping[str, Any] | None, *, recovers: bool = True) -> Beginning:
        """Return the place at which a subscription begins; the caller listens before it waits for anything.

        ``recovers``: whether the reply has room for publications; else a client that wants some has not recovered.

        Raises:
            CentrifugeError: 100 if the engine cannot be reached, 112 if the client wants all or nothing.
        """
        histories, topic = self._topics.histories, topic_of(channel)
        wanted = request if request is not None and request["recover"] else None
        since = None if wanted is None or not recovers else await self._position(topic, wanted)
        recovery = await histories.resume(topic, since, self._hooks.options.max_history)
        if recovery.position is None:
            raise CentrifugeError(100, "the history cannot be reached")
        found = recovery.publications
        histories.refused += wanted is not None and since is None
        if wanted is not None and found is None and wanted["flag"] & REJECT_UNRECOVERED:
            raise CentrifugeError(112)
        return Beginning(
            recovery.position, found, recovery.position.offset if wanted is None or found is None else wanted["offset"]
        )

    async def _position(self, topic: str, wanted: Mapping[str, Any]) -> Position | None:
        """Return the position that a client names; an empty epoch stands for the present one."""
        if wanted["epoch"]:
            return position_of(wanted)
        newest = await self._topics.histories.newest(topic)
        return None if newest is None else Position(newest.epoch, wanted["offset"])

    async def history(self, channel: str, request: Mapping[str, Any]) -> str:
        """Return the publications of a channel that are kept, as JSON.

        Raises:
            CentrifugeError: 100 if the engine cannot be reached, 112 for a position of another epoch.
        """
        histories, topic, limit = self._topics.histories, topic_of(channel), request["limit"]
        if limit:
            kept = await histories.kept(topic)
        else:  # only the position is asked for: the engine need not send all messages
            newest_alone = await histories.newest(topic)
            kept = None if newest_alone is None else (newest_alone, [])
        if kept is None:
            raise CentrifugeError(100, "the history cannot be reached")
        newest, publications = kept
        since: Mapping[str, Any] | None = request["since"]
        if since is not None and since["epoch"] and since["epoch"] != epoch_text(newest.epoch):
            raise CentrifugeError(112)
        most = self._hooks.options.max_history
        found = chosen(publications, None if since is None else since["offset"], reverse=request["reverse"])
        listed = array(map(publication_text, found[: most if limit < 0 else min(limit, most)]))
        return members({"publications": listed, "epoch": as_text(epoch_text(newest.epoch)), "offset": newest.offset})

    # Reports of the topics

    def publication(self, topic: str, publication: Publication) -> None:
        """Send a publication to the clients of its channel."""
        channel = self._sessions.channel(topic.removeprefix(PREFIX))
        if channel is None:
            return
        if not publication.data.startswith(FIRST):
            logger.error("a message of %s is not a publication", quoted(topic), kind=topic)
            return
        offset = offset_of(publication)
        text = push_of(channel, publication, offset)
        broadcast_text(channel.live, text)
        for subscription in channel.waiting:
            subscription.hold(offset, text)

    def missed(self, topic: str) -> None:
        """Log that publications are missing: without history the protocol cannot tell the clients."""
        logger.warning("publications of %s by other servers are missing", quoted(topic), kind=topic)

    def resync(self, topic: str, position: Position) -> None:
        """Have the clients of a channel begin again."""
        channel = self._sessions.channel(topic.removeprefix(PREFIX))
        if channel is not None:
            self._lose(channel)

    def joined(self, topic: str, member: Member) -> None:
        """Tell the clients of a channel that a member has joined."""
        channel = self._sessions.channel(topic.removeprefix(PREFIX))
        if channel is not None:
            self.presence.announce("join", channel, member)

    def left(self, topic: str, member: Member) -> None:
        """Tell the clients of a channel that a member has left."""
        channel = self._sessions.channel(topic.removeprefix(PREFIX))
        if channel is not None:
            self.presence.announce("leave", channel, member)


def position_of(wanted: Mapping[str, Any]) -> Position:
    """Return the position that a client names; an impossible one gets an epoch that no topic has."""
    try:
        epoch = int(wanted["epoch"], 16)
    except ValueError:
        epoch = -1
    return Position(epoch if epoch_text(max(epoch, 0)) == wanted["epoch"] else -1, wanted["offset"])


def offset_of(publication: Publication) -> int:
    return 0 if publication.position is None else publication.position.offset


def chosen(publications: Iterable[Publication], since: int | None, *, reverse: bool) -> list[Publication]:
    """Return the publications after a position, or those before it with the newest first."""
    if reverse:
        found = [one for one in publications if since is None or offset_of(one) < since]
        return found[::-1]
    return [one for one in publications if since is None or offset_of(one) > since]


def publication_text(publication: Publication) -> str:
    """Return a publication as clients have it, with its offset."""
    offset = offset_of(publication)
    text = publication.data.decode()
    return f'{{"offset":{offset},{text[1:]}' if offset else text


def push_of(channel: Channel, publication: Publication, offset: int) -> bytes:
    """Return the push of a publication, encoded once for all clients."""
    content = b'{"offset":%d,%b' % (offset, publication.data[1:]) if offset else publication.data
    return b"%b%b}}" % (channel.prefix, content)
