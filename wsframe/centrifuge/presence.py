"""The members of channels over all servers, and the clients that hear of them."""

from __future__ import annotations

import json
from typing import Any

from wsframe.backplane.presence import Member
from wsframe.centrifuge.replies import as_json, members, push
from wsframe.centrifuge.session import Channel, Session, topic_of
from wsframe.centrifuge.subscription import Subscription
from wsframe.resources.broadcast import broadcast_text
from wsframe.resources.topics.topics import Topics

__all__ = ["Presence"]


class Presence:
    """The members of the channels of one server, as the clients of one resource see them.

    Args:
        topics: The topics of the server.
    """

    def __init__(self, topics: Topics) -> None:
        self._presences = topics.presences

    async def of(self, name: str) -> dict[str, Any]:
        """Return the members of a channel, by key."""
        return {one.key: one.info for one in await self._presences.members(topic_of(name))}

    def join(self, session: Session, subscription: Subscription) -> None:
        """Make a client a member, and report others to it, as its subscription says."""
        options, topic = subscription.options, topic_of(subscription.channel)
        if options.join_leave:
            self._presences.follow(topic)
        if options.presence:
            subscription.member = session.user if options.members == "users" and session.user else session.client.id
            info = json.loads(session.seen_in(subscription).json())
            self._presences.enter(topic, Member(subscription.member, info))

    def leave(self, subscription: Subscription, *, at_once: bool) -> None:
        """End the membership of a client; ``at_once``: it does not come back."""
        if subscription.member is not None:
            at_once = at_once or subscription.options.members == "clients"  # the next connection has another id
            self._presences.leave(topic_of(subscription.channel), subscription.member, at_once=at_once)
            subscription.member = None

    def announce(self, kind: str, channel: Channel, member: Member) -> None:
        """Tell the clients of a channel that a member has joined or left."""
        told = [client for client in channel.live if channel.subscriptions[client].options.join_leave]
        if told:
            broadcast_text(told, push(kind, members({"info": as_json(member.info)}), channel.name))
