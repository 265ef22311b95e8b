"""The subscriptions of clients to channels: their beginning, their end, and the messages in between."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import ceil
from typing import TYPE_CHECKING, Any

import trio

from wsframe.centrifuge.answers import Subscribed
from wsframe.centrifuge.errors import UNSUBSCRIBES, CentrifugeDisconnect, CentrifugeError
from wsframe.centrifuge.hooks import Hooks
from wsframe.centrifuge.replies import Info, Publication, as_text, members, push
from wsframe.centrifuge.session import Due, Session, Sessions
from wsframe.centrifuge.subscription import Event, State, Subscription
from wsframe.resources.broadcast import Broadcast, broadcast_text
from wsframe.resources.client import Client

if TYPE_CHECKING:
    AnyClient = Client[Any]

__all__ = ["Channels", "topic_of"]


def topic_of(channel: str) -> str:
    """Return the topic of a channel. The prefix keeps it apart from topics whose messages are in no protocol."""
    return f"centrifuge:{channel}"


class Channels:
    """The subscriptions of one life of a resource.

    Args:
        resource: The resource, for its options and topics.
        sessions: The clients.
    """

    def __init__(self, resource: Hooks, sessions: Sessions) -> None:
        self._resource = resource
        self._sessions = sessions

    # Names and limits

    def name(self, request: Mapping[str, Any]) -> str:
        """Return the channel that a request names."""
        channel: str = request["channel"]
        if not channel:
            raise CentrifugeDisconnect(3501)
        if not self.is_name(channel):
            raise CentrifugeError(107)
        return channel

    def is_name(self, channel: str) -> bool:
        """Return whether a channel can have a name."""
        try:
            return 0 < len(channel.encode()) <= self._resource.options.max_channel_length
        except UnicodeEncodeError:  # a lone surrogate
            return False

    def check_name(self, channel: str) -> None:
        """Raise for a name that the program must not use."""
        if not isinstance(channel, str):
            raise TypeError(f"a channel is a str, not {type(channel).__name__}")
        if not self.is_name(channel):
            longest = self._resource.options.max_channel_length
            raise ValueError(f"the name of a channel has 1 to {longest} bytes of UTF-8: {channel!r}")

    # Beginning and end

    def begin(self, session: Session, channel: str, *, by_server: bool = False) -> Subscription:
        """Begin a subscription that nobody has allowed yet."""
        if channel in session.subscriptions:
            raise CentrifugeError(105)
        if len(session.subscriptions) >= self._resource.options.max_channels:
            raise CentrifugeError(106)
        subscription = Subscription(channel, by_server=by_server)
        self._sessions.note(session, subscription)
        return subscription

    def allow(self, subscription: Subscription, options: Subscribed) -> None:
        """Allow a subscription with these options."""
        subscription.options = options
        subscription.info = self._resource.json_of(options.info)
        if not subscription.step(Event.ALLOWED):
            raise CentrifugeError(103)  # the server has ended it while the hook decided

    def of_server(
        self, session: Session, wanted: Mapping[str, Subscribed] | Collection[str]
    ) -> Collection[Subscription]:
        """Begin the subscriptions that a program wants a new client to have."""
        if len(wanted) > self._resource.options.max_channels:
            raise CentrifugeDisconnect(3505)
        for channel in wanted:
            self.check_name(channel)
        begun = []
        for channel in wanted:
            subscription = self.begin(session, channel, by_server=True)
            self.allow(subscription, wanted[channel] if isinstance(wanted, Mapping) else self._resource.subscription)
            begun.append(subscription)
        return begun

    async def add(self, session: Session, channel: str, options: Subscribed) -> bool:
        """Subscribe a client that has connected, and tell it; return whether it is subscribed."""
        try:
            subscription = self.begin(session, channel, by_server=True)
        except CentrifugeError:
            return False
        try:
            self.allow(subscription, options)
            result = await self.fill(session, subscription, None)
        except BaseException:
            self.end(session, subscription)
            raise
        if self._sessions.of(session.client) is not session or subscription.state is State.ENDED:
            return False
        session.client.send_text(push("subscribe", result, channel))
        self.go_live(session, subscription)
        return subscription.live

    async def fill(self, session: Session, subscription: Subscription, request: Mapping[str, Any] | None) -> str:
        """Look up all that a client is told at the beginning of its subscription; return it as JSON."""
        options = subscription.options
        return members(
            {
                "expires": options.expires is not None,
                "ttl": None if options.expires is None else max(1, ceil(options.expires)),
                "data": self._resource.json_of(options.data),
                "was_recovering": request is not None and request["recover"],
            }
        )

    def go_live(self, session: Session, subscription: Subscription) -> None:
        """Have a client get the channel's publications, right after it was sent its reply."""
        if not subscription.step(Event.REPLIED):
            return
        self._resource.subscribe(session.client, topic_of(subscription.channel))
        self.set_expiry(session, subscription, subscription.options.expires)
        if subscription.options.presence:
            self._announce("join", session, subscription)

    def set_expiry(self, session: Session, subscription: Subscription, expires: float | None) -> None:
        """Set the moment at which a subscription ends unless it is refreshed."""
        due = Due(session.client, "subscription", subscription.channel)
        if expires is None:
            self._sessions.deadlines.clear(due)
        else:
            self._sessions.deadlines.set(due, trio.current_time() + expires + self._resource.options.expired_grace)

    def end(self, session: Session, subscription: Subscription) -> bool:
        """End a subscription; return whether it was live, so that ``unsubscribed`` must be called."""
        live = subscription.live
        subscription.step(Event.ENDED)
        self._sessions.forget(session, subscription)
        if live:
            self._resource.unsubscribe(session.client, topic_of(subscription.channel))
            if subscription.options.presence:
                self._announce("leave", session, subscription)
        return live

    def end_by_server(self, session: Session, subscription: Subscription, code: int, reason: str = "") -> bool:
        """End a subscription and tell its client; return whether it was live."""
        live = self.end(session, subscription)
        if live:
            content = members({"code": code, "reason": as_text(reason or UNSUBSCRIBES.get(code, "unsubscribed"))})
            session.client.send_text(push("unsubscribe", content, subscription.channel))
        return live

    def subscribed(self, session: Session, channel: str) -> Subscription:
        """Return the live subscription of a client to a channel."""
        subscription = session.subscriptions.get(channel)
        if subscription is None or not subscription.live:
            raise CentrifugeError(103)
        return subscription

    # Messages

    def publish(self, channel: str, publication: Publication) -> Broadcast:
        """Publish to all subscribers of a channel."""
        text = push("pub", publication.json(), channel)
        return self._resource.publish_text(topic_of(channel), text)

    async def history(self, session: Session, channel: str, request: Mapping[str, Any]) -> str:
        """Return the publications of a channel that are kept, as JSON."""
        self.subscribed(session, channel)
        raise CentrifugeError(108)

    # Presence

    async def present(self, session: Session, channel: str) -> list[Info]:
        """Return the clients that are present in a channel."""
        if not self.subscribed(session, channel).options.presence:
            raise CentrifugeError(108)
        return [
            one.seen_in(subscription)
            for client, subscription in self._sessions.in_channel(channel).items()
            if subscription.live and subscription.options.presence and (one := self._sessions.of(client)) is not None
        ]

    def _announce(self, kind: str, session: Session, subscription: Subscription) -> None:
        channel = subscription.channel
        content = members({"info": session.seen_in(subscription).json()})
        told = [
            client for client, one in self._sessions.in_channel(channel).items() if one.live and one.options.join_leave
        ]
        broadcast_text(told, push(kind, content, channel))
