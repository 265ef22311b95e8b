"""The state of one client in the protocol, and of all clients of one life of a resource."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from wsframe.centrifuge.deadline_queue import DeadlineQueue
from wsframe.centrifuge.replies import Info, push
from wsframe.centrifuge.subscription import Subscription
from wsframe.resources.client import Client

if TYPE_CHECKING:
    AnyClient = Client[Any]

__all__ = ["PREFIX", "Channel", "Session", "SessionDeadline", "SessionPhase", "Sessions", "topic_of"]

PREFIX = "centrifuge:"
"""The beginning of the topics of channels, which keeps them apart from topics whose messages are in no protocol."""


def topic_of(channel: str) -> str:
    """Return the topic of a channel."""
    return PREFIX + channel


class SessionPhase(Enum):
    """The phase of a client in the protocol."""

    NEW = auto()
    """It has not sent ``connect``."""
    CONNECTED = auto()
    """Its ``connect`` was accepted."""
    REFUSED = auto()
    """Its ``connect`` was refused; the client closes the connection."""
    OVER = auto()
    """The server closes it."""


class Session:
    """The state of one client in the protocol."""

    __slots__ = ("busy", "client", "info", "phase", "pings", "refreshes", "subject", "subscriptions", "user")

    def __init__(self, client: AnyClient) -> None:
        self.client: AnyClient = client
        self.phase: SessionPhase = SessionPhase.NEW
        self.user: str = ""
        """The user's id; ``""`` for an anonymous user."""
        self.subject: str = ""
        """The user in its token; a new token must name the same one. Without a token it is ``user``."""
        self.info: str | None = None
        """JSON of the connection's information."""
        self.subscriptions: dict[str, Subscription] = {}
        """The subscriptions that have not ended, by channel."""
        self.pings: int = 0
        """Pings that it has not answered: several while its hooks are slow, and each gets a pong."""
        self.busy: bool = False
        """Whether a message of it is being handled."""
        self.refreshes: bool = False
        """Whether the server has asked it for a new token before it expires."""

    @property
    def connected(self) -> bool:
        """Whether its ``connect`` was accepted, and the server does not close it."""
        return self.phase is SessionPhase.CONNECTED

    @property
    def refused(self) -> bool:
        """Whether its ``connect`` was refused, so that the rest of its message is not handled."""
        return self.phase is SessionPhase.REFUSED

    @property
    def over(self) -> bool:
        """Whether the server closes it, so that it gets nothing more."""
        return self.phase is SessionPhase.OVER

    @property
    def channels(self) -> Collection[str]:
        """The channels that the client is subscribed to."""
        return tuple(channel for channel, one in self.subscriptions.items() if one.live)

    def seen_in(self, subscription: Subscription | None) -> Info:
        """Return the client as others see it, in a channel or without one."""
        channel = None if subscription is None else subscription.info
        return Info(self.client.id, self.user, self.info, channel)


Kind = Literal["connect", "ping", "pong", "expiry", "subscription"]
KINDS: tuple[Kind, ...] = ("connect", "ping", "pong", "expiry")
"""The deadlines of a client itself."""


class SessionDeadline(NamedTuple):
    """Something of a client that is due at a moment."""

    client: AnyClient
    kind: Kind
    channel: str = ""


class Channel:
    """The subscriptions of one channel on this server, by the clients of one resource."""

    __slots__ = ("live", "name", "prefix", "subscriptions", "waiting")

    def __init__(self, name: str) -> None:
        self.name: str = name
        self.prefix: bytes = push("pub", "", name)[:-2].encode()
        """The beginning of a push, up to the publication."""
        self.subscriptions: dict[AnyClient, Subscription] = {}
        """The subscriptions that have not ended."""
        self.live: dict[AnyClient, None] = {}
        """The clients that get publications."""
        self.waiting: dict[Subscription, None] = {}
        """Subscriptions whose publications wait until the client has its reply."""


class Sessions:
    """The clients of one life of a resource, their channels and deadlines."""

    def __init__(self) -> None:
        self._sessions: dict[AnyClient, Session] = {}
        self._channels: dict[str, Channel] = {}
        self.deadlines: DeadlineQueue[SessionDeadline] = DeadlineQueue()

    def __len__(self) -> int:
        return len(self._sessions)

    def add(self, client: AnyClient) -> Session:
        """Return the session of a client; make it if it is new."""
        session = self._sessions.get(client)
        if session is None:
            session = self._sessions[client] = Session(client)
        return session

    def of(self, client: AnyClient) -> Session | None:
        """Return the session of a client, or None."""
        return self._sessions.get(client)

    def remove(self, client: AnyClient) -> Session | None:
        """Forget a client."""
        for kind in KINDS:
            self.deadlines.clear(SessionDeadline(client, kind))
        return self._sessions.pop(client, None)

    def note(self, session: Session, subscription: Subscription) -> Channel:
        """Note a subscription that begins; return its channel."""
        name = subscription.channel
        session.subscriptions[name] = subscription
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = Channel(name)
        channel.subscriptions[session.client] = subscription
        return channel

    def forget(self, session: Session, subscription: Subscription) -> Channel | None:
        """Forget a subscription that has ended; return its channel if that was the last one.

        A later one of the same client and channel stays.
        """
        name = subscription.channel
        if session.subscriptions.get(name) is not subscription:
            return None
        del session.subscriptions[name]
        self.deadlines.clear(SessionDeadline(session.client, "subscription", name))
        channel = self._channels[name]
        del channel.subscriptions[session.client]
        channel.live.pop(session.client, None)
        channel.waiting.pop(subscription, None)
        if channel.subscriptions:
            return None
        return self._channels.pop(name)

    def channel(self, name: str) -> Channel | None:
        """Return the subscriptions of a channel, or None if it has none."""
        return self._channels.get(name)
