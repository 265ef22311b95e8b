"""The state of one client in the protocol, and of all clients of one life of a resource."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from wsframe.centrifuge.deadlines import Deadlines
from wsframe.centrifuge.replies import Info
from wsframe.centrifuge.subscription import Subscription
from wsframe.resources.client import Client

if TYPE_CHECKING:
    AnyClient = Client[Any]

__all__ = ["Due", "Phase", "Session", "Sessions"]


class Phase(Enum):
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

    __slots__ = ("awaiting_pong", "busy", "client", "info", "phase", "subscriptions", "user")

    def __init__(self, client: AnyClient) -> None:
        self.client = client
        self.phase = Phase.NEW
        self.user = ""
        """The user's id; ``""`` for an anonymous one."""
        self.info: str | None = None
        """JSON of the connection's information."""
        self.subscriptions: dict[str, Subscription] = {}
        """Those that have not ended, by channel."""
        self.awaiting_pong = False
        self.busy = False
        """Whether a message of it is being handled."""

    @property
    def connected(self) -> bool:
        """Whether its ``connect`` was accepted, and the server does not close it."""
        return self.phase is Phase.CONNECTED

    @property
    def refused(self) -> bool:
        """Whether its ``connect`` was refused, so that the rest of its message is not handled."""
        return self.phase is Phase.REFUSED

    @property
    def channels(self) -> Collection[str]:
        """The channels that the client is subscribed to."""
        return tuple(channel for channel, one in self.subscriptions.items() if one.live)

    def seen_in(self, subscription: Subscription | None) -> Info:
        """Return the client as others see it, in a channel or without one."""
        channel = None if subscription is None else subscription.info
        return Info(self.client.id, self.user, self.info, channel)


class Due(NamedTuple):
    """Something of a client that is due at a moment."""

    client: AnyClient
    kind: Literal["connect", "ping", "pong", "expiry", "subscription"]
    channel: str = ""


class Sessions:
    """The clients of one life of a resource, their channels and deadlines."""

    def __init__(self) -> None:
        self._sessions: dict[AnyClient, Session] = {}
        self._channels: dict[str, dict[AnyClient, Subscription]] = {}
        self.deadlines: Deadlines[Due] = Deadlines()

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
        for kind in ("connect", "ping", "pong", "expiry"):
            self.deadlines.clear(Due(client, kind))
        return self._sessions.pop(client, None)

    def note(self, session: Session, subscription: Subscription) -> None:
        """Note a subscription that begins."""
        session.subscriptions[subscription.channel] = subscription
        self._channels.setdefault(subscription.channel, {})[session.client] = subscription

    def forget(self, session: Session, subscription: Subscription) -> None:
        """Forget a subscription that has ended, unless another one of the same channel has begun."""
        channel = subscription.channel
        if session.subscriptions.get(channel) is not subscription:
            return
        del session.subscriptions[channel]
        self.deadlines.clear(Due(session.client, "subscription", channel))
        subscribers = self._channels[channel]
        del subscribers[session.client]
        if not subscribers:
            del self._channels[channel]

    def in_channel(self, channel: str) -> Mapping[AnyClient, Subscription]:
        """Return the subscriptions of a channel on this server that have not ended."""
        return MappingProxyType(self._channels.get(channel, {}))
