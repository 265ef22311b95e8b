"""The members of channels: who is there, and whom that is told."""

from __future__ import annotations

from wsframe.centrifuge.replies import Info, members, push
from wsframe.centrifuge.session import Session, Sessions
from wsframe.centrifuge.subscription import Subscription
from wsframe.resources.broadcast import broadcast_text

__all__ = ["Presence"]


class Presence:
    """The members of the channels of one life of a resource.

    Args:
        sessions: The clients.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def of(self, name: str) -> list[Info]:
        """Return the members of a channel."""
        channel = self._sessions.channel(name)
        return [
            session.seen_in(channel.subscriptions[client])
            for client in (() if channel is None else channel.live)
            if channel is not None
            and channel.subscriptions[client].options.presence
            and (session := self._sessions.of(client)) is not None
        ]

    def join(self, session: Session, subscription: Subscription) -> None:
        """Announce a member."""
        if subscription.options.presence:
            self._announce("join", session, subscription)

    def leave(self, session: Session, subscription: Subscription) -> None:
        """Announce that a member has left."""
        if subscription.options.presence:
            self._announce("leave", session, subscription)

    def _announce(self, kind: str, session: Session, subscription: Subscription) -> None:
        channel = self._sessions.channel(subscription.channel)
        if channel is not None:
            content = members({"info": session.seen_in(subscription).json()})
            told = [client for client in channel.live if channel.subscriptions[client].options.join_leave]
            broadcast_text(told, push(kind, content, channel.name))
