"""The answers of the hooks, and the options of a resource that speaks the protocol."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, Protocol, TypeVar

from wsframe.limits import check_number

__all__ = ["CentrifugeOptions", "Connected", "Published", "Subscribed", "Tokens", "filled_in"]

AnswerT = TypeVar("AnswerT", "Connected", "Subscribed")


def check_seconds(name: str, value: object) -> None:
    if value is not None:
        check_number(name, value, "float", 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscribed:
    """The answer of ``subscribing`` that lets a client subscribe, and the options of its subscription.

    Raises:
        TypeError: For ``expires`` that is not a number.
        ValueError: For ``expires`` below 0, and for ``members`` of another name.
    """

    data: object = None
    """JSON for the client's event ``subscribed``. Default None: nothing."""
    info: object = None
    """JSON that others see of this client in this channel, as ``chan_info``. Default None: nothing."""
    expires: float | None = None
    """Seconds until the subscription ends, and the SDK subscribes again. Default None: it does not expire. The server
    asks a client that has subscribed with a token, which the resource's ``tokens`` verified, to send a new one before;
    the client has ``expired_grace`` more for it."""
    history: bool = True
    """Whether the client can list the channel's history, if the resource keeps one. Default True: it has read
    access to the channel. Danger: messages of the time before the client subscribed are among them."""
    recover: bool = True
    """Whether the client gets the messages that it missed while it was away, if the resource keeps history.
    Default True."""
    presence: bool = False
    """Whether the client is a member of the channel for others, and can ask for the members. Default False:
    each member costs every node of the service memory and messages."""
    members: Literal["clients", "users"] = "clients"
    """The members of the channel, which are the same for all its clients. Default ``"clients"``, as in Centrifugo: each
    connection is one, and a page that is loaded again leaves and joins. ``"users"``: a user is one, with all
    connections, and has left 10 s after the last of them, so that a reload or a deploy announces nobody."""
    join_leave: bool = False
    """Whether the client hears of members that join and leave. Default False: in a channel of N clients each join costs
    N messages."""

    def __post_init__(self) -> None:
        check_seconds("Subscribed.expires", self.expires)
        if self.members not in ("clients", "users"):
            raise ValueError(f"Subscribed.members is 'clients' or 'users', not {self.members!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Connected:
    """The answer of ``connecting`` that lets a client in.

    Raises:
        TypeError: For a field of another type.
        ValueError: For ``expires`` below 0, and for a user with a lone surrogate.
    """

    user: str | None = None
    """The user's id, which others see. Default None: the id in the token, or ``""`` for an anonymous user."""
    expires: float | None = None
    """Seconds until the client is closed 3005, and its SDK connects again. Default None: the connection does not
    expire. The server asks a client that has connected with a token to send a new one before; the client has
    ``expired_grace`` more for it. ``tokens`` verifies the new token; without ``tokens`` the hook ``connecting`` is
    called again for it."""
    info: object = None
    """JSON that others see of this client, as ``conn_info``. Default None: nothing."""
    data: object = None
    """JSON for the client's event ``connected``. Default None: nothing."""
    subscriptions: Mapping[str, Subscribed] | Collection[str] = field(default_factory=dict)
    """The channels that the server subscribes this client to. Default none. With names alone, the resource's
    ``subscription`` has the options. ``subscribing`` is not called for them."""

    def __post_init__(self) -> None:
        check_seconds("Connected.expires", self.expires)
        if not isinstance(self.user, str | None):
            raise TypeError(f"Connected.user is a str or None, not {type(self.user).__name__}")
        if self.user is not None:
            self.user.encode()  # raises UnicodeEncodeError, a ValueError, for a lone surrogate
        if isinstance(self.subscriptions, str):
            raise TypeError("Connected.subscriptions is a collection of names or a mapping, not a str")


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """The answer of ``publishing`` that publishes something else than the client sent."""

    data: object
    """JSON to publish instead of the client's."""
    tags: Mapping[str, str] | None = None
    """Tags of the publication. Default None: none."""
    anonymous: bool = False
    """Whether subscribers are not told which client has published it. Default False."""


class Tokens(Protocol):
    """A verifier of tokens; :class:`wsframe.centrifuge.JWTTokens` is one."""

    async def connection(self, token: str) -> Connected:
        """Return the answer that a connection token stands for; raise :exc:`CentrifugeError` 109 if it has expired,
        :exc:`CentrifugeDisconnect` 3500 if it is not valid."""

    async def subscription(self, token: str, user: str, channel: str) -> Subscribed:
        """Return the answer that a subscription token of this user and channel stands for; raise
        :exc:`CentrifugeError` 109 if it has expired, 103 if it is not valid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CentrifugeOptions:
    """Limits and times of the protocol.

    Raises:
        TypeError: For a field that is not a number.
        ValueError: For a number out of its range.
    """

    ping: float | None = 25.0
    """Seconds between two pings of the server. Default 25, as in Centrifugo: below the 30 to 60 s at which proxies
    forget a connection. Pages cannot see pings of WebSocket itself, and these tell them that the connection lives.
    None sends none, and the client then does not notice a dead connection."""
    pong: float = 8.0
    """Seconds for the client to answer a ping; default 8. Then it is closed 3012 and its SDK connects again."""
    connect: float = 10.0
    """Seconds for a client to send its ``connect``; default 10. Then it is closed 3502."""
    expired_grace: float = 25.0
    """Seconds for which a connection or subscription goes on after ``expires``; default 25, the time in which
    SDKs try to get a new token."""
    max_channels: int = 128
    """Channels of one client; default 128. More are refused with error 106."""
    max_channel_length: int = 200
    """Bytes of the longest name of a channel; default 200, and at most 240. Longer names are refused with error 107."""
    max_commands: int = 4_096
    """Commands of one message; default 4096, more than fit into the 64 KiB that Centrifugo takes, and more than
    ``max_channels``: an SDK that connects subscribes to all its channels in one message, and a page can send many calls
    in a batch. After that many, the server closes the connection 3501, and the SDK does not come back."""
    max_history: int = 300
    """Messages of one reply, to ``history`` and to a subscription that recovers; default 300. To a client that has
    missed more, the server answers as if they were not kept any more; also to one whose ``connect`` has recovered 1 MiB
    for other channels of the server before."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name.startswith("max_"):
                check_number(f"CentrifugeOptions.{one.name}", value, "int", 1)
            elif value is not None or one.name != "ping":
                check_number(f"CentrifugeOptions.{one.name}", value, "float", 0)
        if self.ping is not None and self.ping < 1:
            raise ValueError(f"CentrifugeOptions.ping is 1 s at least, or None, not {self.ping}: SDKs count seconds")
        if self.max_commands <= self.max_channels:
            raise ValueError(f"max_commands is above max_channels {self.max_channels}, not {self.max_commands}")
        if self.max_channel_length > 240:
            raise ValueError(f"max_channel_length is at most 240, not {self.max_channel_length}: topics have 255 bytes")


def filled_in(answer: AnswerT, verified: AnswerT) -> AnswerT:
    """Return the answer of a hook, with the fields of the token where it leaves them at their default."""
    kind = type(answer)
    blank = kind()
    return kind(
        **{
            one.name: getattr(verified if getattr(answer, one.name) == getattr(blank, one.name) else answer, one.name)
            for one in fields(kind)
        }
    )
