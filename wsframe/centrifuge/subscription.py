"""One client's subscription to one channel, as a table of its states."""

from __future__ import annotations

from enum import Enum, auto

from wsframe.centrifuge.answers import Subscribed

__all__ = ["MOST_HELD", "TABLE", "Subscription", "SubscriptionEvent", "SubscriptionState"]


MOST_HELD = 1_000
"""Publications that wait for one subscription."""


class SubscriptionState(Enum):
    """The state of a subscription."""

    ASKED = auto()
    """The hook decides."""
    FILLING = auto()
    """The client is allowed, and the channel's position is looked up; publications wait."""
    LIVE = auto()
    """The client has its reply and gets publications."""
    ENDED = auto()
    """It is over; another one of the same channel can have begun."""


class SubscriptionEvent(Enum):
    """An event of a subscription."""

    ALLOWED = auto()
    """The hook, a token or the server allows it."""
    REPLIED = auto()
    """The client was sent the reply, with the position and the publications that it missed."""
    ENDED = auto()
    """It was refused, unsubscribed from either side, has expired, or its client has left."""


TABLE: dict[tuple[SubscriptionState, SubscriptionEvent], SubscriptionState] = {
    (SubscriptionState.ASKED, SubscriptionEvent.ALLOWED): SubscriptionState.FILLING,
    (SubscriptionState.ASKED, SubscriptionEvent.ENDED): SubscriptionState.ENDED,
    (SubscriptionState.FILLING, SubscriptionEvent.REPLIED): SubscriptionState.LIVE,
    (SubscriptionState.FILLING, SubscriptionEvent.ENDED): SubscriptionState.ENDED,
    (SubscriptionState.LIVE, SubscriptionEvent.ENDED): SubscriptionState.ENDED,
}
"""The next state. Any other event changes nothing: the subscription has ended before."""


class Subscription:
    """The state of one subscription, and its options."""

    __slots__ = (
        "by_server", "channel", "ending", "held", "info", "member", "options", "overflowed", "refreshes", "state",
        "until",
    )  # fmt: skip

    def __init__(self, channel: str, *, by_server: bool = False) -> None:
        self.channel: str = channel
        self.options: Subscribed = Subscribed()
        self.by_server: bool = by_server
        """Whether the server subscribed the client."""
        self.until: float | None = None
        """The time at which it expires; None for never."""
        self.info: str | None = None
        """JSON of its ``info``."""
        self.member: str | None = None
        """The key of its member in the channel, while it is one."""
        self.state: SubscriptionState = SubscriptionState.ASKED
        self.held: list[tuple[int, bytes]] = []
        """Publications that wait for the reply, with their offsets, which are 0 without history."""
        self.overflowed: bool = False
        """Whether more have come than can wait."""
        self.ending: tuple[int, str] | None = None
        """The code and the reason with which the server has ended it before the client had its reply."""
        self.refreshes: bool = False
        """Whether the server has asked the client for a new token before it expires."""

    def hold(self, offset: int, push: bytes) -> None:
        """Have a publication wait until the client has its reply."""
        if len(self.held) < MOST_HELD:
            self.held.append((offset, push))
        else:
            self.overflowed = True

    def step(self, event: SubscriptionEvent) -> bool:
        """Take an event; return whether it changed the state."""
        after = TABLE.get((self.state, event))
        if after is None:
            return False
        self.state = after
        return True

    @property
    def live(self) -> bool:
        """Whether its client gets publications."""
        return self.state is SubscriptionState.LIVE
