"""The subscriptions of clients to channels: their beginning, their end, and their members."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import trio

from wsframe.centrifuge.answers import Subscribed
from wsframe.centrifuge.errors import UNSUBSCRIBES, CentrifugeDisconnect, CentrifugeError
from wsframe.centrifuge.feed import Feed
from wsframe.centrifuge.hooks import Hooks
from wsframe.centrifuge.replies import ChannelPublication, as_text, expiry, members, push
from wsframe.centrifuge.session import Channel, Session, SessionDeadline, Sessions
from wsframe.centrifuge.subscription import Subscription, SubscriptionEvent, SubscriptionState
from wsframe.exceptions import ResourceEnded
from wsframe.resources.client import Client
from wsframe.resources.topics.topics import Topics
from wsframe.user_code.errors import failed

if TYPE_CHECKING:
    AnyClient = Client[Any]

__all__ = ["Channels"]


class Channels:
    """The subscriptions of one life of a resource.

    Args:
        hooks: The resource.
        sessions: The clients.
        topics: The topics of the server.
    """

    def __init__(self, hooks: Hooks, sessions: Sessions, topics: Topics) -> None:
        self._hooks = hooks
        self._sessions = sessions
        self._feed = Feed(hooks, sessions, topics, self.lose)
        self._presence = self._feed.presence
        self.history: Callable[[str, Mapping[str, Any]], Awaitable[str]] = self._feed.history

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
            return 0 < len(channel.encode()) <= self._hooks.options.max_channel_length
        except UnicodeEncodeError:  # a lone surrogate
            return False

    def check_name(self, channel: str) -> None:
        """Raise for a name that the program must not use."""
        if not isinstance(channel, str):
            raise TypeError(f"a channel is a str, not {type(channel).__name__}")
        if not self.is_name(channel):
            longest = self._hooks.options.max_channel_length
            raise ValueError(f"the name of a channel has 1 to {longest} bytes of UTF-8: {channel!r}")

    # Beginning

    def begin(self, session: Session, channel: str, *, by_server: bool = False) -> Subscription:
        """Begin a subscription that nobody has allowed yet."""
        if channel in session.subscriptions:
            raise CentrifugeError(105)
        if len(session.subscriptions) >= self._hooks.options.max_channels:
            raise CentrifugeError(106)
        subscription = Subscription(channel, by_server=by_server)
        self._sessions.note(session, subscription)
        return subscription

    def allow(self, subscription: Subscription, options: Subscribed) -> None:
        """Allow a subscription with these options."""
        subscription.options = options
        subscription.until = None if options.expires is None else trio.current_time() + options.expires
        subscription.info = self._hooks.json_of(options.info)
        if not subscription.step(SubscriptionEvent.ALLOWED):
            raise CentrifugeError(103)  # its client has left while the hook decided

    def of_server(
        self, session: Session, wanted: Mapping[str, Subscribed] | Collection[str]
    ) -> Collection[Subscription]:
        """Begin the subscriptions that a program wants a new client to have."""
        if len(wanted) > self._hooks.options.max_channels:
            raise CentrifugeDisconnect(3505)
        for channel in wanted:
            self.check_name(channel)
        begun = []
        for channel in dict.fromkeys(wanted):
            subscription = self.begin(session, channel, by_server=True)
            self.allow(subscription, wanted[channel] if isinstance(wanted, Mapping) else self._hooks.subscription)
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
        if subscription.state is SubscriptionState.ENDED:
            return False
        session.client.send_text(push("subscribe", result, channel))
        self.go_live(session, subscription)
        return subscription.live

    async def fill(
        self,
        session: Session,
        subscription: Subscription,
        request: Mapping[str, Any] | None,
        *,
        recovers: bool = True,
    ) -> str:
        """Look up all that a client is told at the beginning of its subscription; return it as JSON.

        From here on publications wait until :meth:`go_live`, which follows when the client was sent this.
        The server can have ended the subscription in the meantime.
        ``recovers``: whether the reply has room for publications that the client has missed.
        """
        options, name = subscription.options, subscription.channel
        beginning = None
        if options.recover and self._hooks.history_of(name) is not None:
            beginning = await self._feed.resume(name, request, recovers=recovers)
        channel = self._sessions.channel(name)
        if channel is not None and subscription.state is SubscriptionState.FILLING:
            self._feed.listen(channel)
            channel.waiting[subscription] = None
        token = request is not None and not subscription.by_server and request["token"]
        subscription.refreshes = bool(token) and options.expires is not None and self._hooks.tokens is not None
        return members(
            {
                **expiry(left_of(subscription) if subscription.refreshes else None),
                "data": self._hooks.json_of(options.data),
                "was_recovering": request is not None and request["recover"],
                **({} if beginning is None else beginning.json()),
            }
        )

    def go_live(self, session: Session, subscription: Subscription) -> None:
        """Have a client get the channel's publications, right after it was sent its reply."""
        channel = self._sessions.channel(subscription.channel)
        if channel is not None and subscription.ending is not None:
            self.end(session, subscription)
            session.client.send_text(end_text(subscription, *subscription.ending))
            return
        if channel is None or not subscription.step(SubscriptionEvent.REPLIED):
            return
        channel.waiting.pop(subscription, None)
        channel.live[session.client] = None
        for _, text in subscription.held:
            session.client.send_text(text)
        subscription.held.clear()
        self.set_expiry(session, subscription, left_of(subscription))
        self._presence.join(session, subscription)
        if subscription.overflowed:
            self._lose_one(session, subscription)

    def set_expiry(self, session: Session, subscription: Subscription, expires: float | None) -> None:
        """Set the moment at which a subscription ends unless it is refreshed."""
        due = SessionDeadline(session.client, "subscription", subscription.channel)
        if expires is None:
            self._sessions.deadlines.clear(due)
        else:
            grace = self._hooks.options.expired_grace if subscription.refreshes else 0.0
            self._sessions.deadlines.set(due, trio.current_time() + expires + grace)

    # End

    def end(self, session: Session, subscription: Subscription, *, lost: bool = False) -> bool:
        """End a subscription; return whether it was live, so that ``unsubscribed`` must be called.

        ``lost``: it ends with its connection, so that the user can come back.
        """
        live = subscription.live
        subscription.step(SubscriptionEvent.ENDED)
        deserted = self._sessions.forget(session, subscription)
        if deserted is not None:
            self._feed.unlisten(deserted)
        self._presence.leave(subscription, at_once=not lost)
        return live

    def end_by_server(self, session: Session, subscription: Subscription, code: int, reason: str = "") -> bool:
        """End a subscription and tell its client; return whether it was live.

        A client whose own subscription is not live yet gets its reply first: it would take the push for an error of its
        own request.
        """
        if not subscription.live and not subscription.by_server:
            subscription.ending = code, reason
            return False
        live = self.end(session, subscription)
        if live:
            session.client.send_text(end_text(subscription, code, reason))
        return live

    def lose(self, channel: Channel) -> None:
        """Have the clients of a channel begin again, because publications are lost."""
        for client in tuple(channel.live):
            session = self._sessions.of(client)
            if session is not None:
                self._lose_one(session, channel.subscriptions[client])
        for subscription in channel.waiting:
            subscription.overflowed = True

    def _lose_one(self, session: Session, subscription: Subscription) -> None:
        """Have one client begin again: an SDK asks for a subscription of its own again, else it connects again."""
        if subscription.by_server:
            session.client.close(3010, "insufficient state")
        elif self.end_by_server(session, subscription, 2500):
            with suppress(RuntimeError):  # the resource is stopping, and ``disconnected`` does without it
                self._hooks.start_soon(self.tell_ended, session, subscription.channel)

    async def tell_ended(self, session: Session, channel: str) -> None:
        """Call ``unsubscribed`` in the listener task, where it belongs."""
        with suppress(ResourceEnded):
            await self._hooks.call(self.ended, session, channel)

    async def ended(self, session: Session, channel: str) -> None:
        """Call ``unsubscribed``; an exception in it costs only this client, and the next call is made."""
        try:
            await self._hooks.unsubscribed(session.client, channel)
        except BaseException as error:
            if not failed(error):
                return
            await self._hooks.hook_failed(error, hook="unsubscribed", client=session.client)

    def subscribed(self, session: Session, channel: str) -> Subscription:
        """Return the live subscription of a client to a channel."""
        subscription = session.subscriptions.get(channel)
        if subscription is None or not subscription.live:
            raise CentrifugeError(103)
        return subscription

    # Messages

    def publish(self, channel: str, publication: ChannelPublication) -> bool:
        """Publish to all subscribers of a channel; return False if its history cannot take it."""
        return self._feed.publish(channel, publication.json())

    async def present(self, session: Session, channel: str) -> dict[str, Any]:
        """Return the members of a channel by key, for a client that is allowed to know them."""
        if not self.subscribed(session, channel).options.presence:
            raise CentrifugeError(108)
        return await self._presence.of(channel)


def left_of(subscription: Subscription) -> float | None:
    """Return the seconds until a subscription expires: its position is looked up for some of those that it had."""
    return None if subscription.until is None else max(0.0, subscription.until - trio.current_time())


def end_text(subscription: Subscription, code: int, reason: str) -> str:
    """Make the push that tells a client that its subscription has ended."""
    content = members({"code": code, "reason": as_text(reason or UNSUBSCRIBES.get(code, "unsubscribed"))})
    return push("unsubscribe", content, subscription.channel)
