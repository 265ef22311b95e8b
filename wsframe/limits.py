"""The cost of a client at most: sizes, counts and times, with the reason of each default.

Each option is a frozen dataclass. A resource can set some fields and leave the
others at :data:`INHERIT`, which takes the server's. A field that the server leaves
there takes the default named in the field's description.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final, Literal, TypeAlias, TypeVar

__all__ = ["DEFAULT_LIMITS", "DEFAULT_TIMEOUTS", "INHERIT", "Capacity", "Limits", "Overflow", "Timeouts"]

INHERIT: Final = -1
"""Leaves a field to the server, and in the server's own options to the default."""

Overflow: TypeAlias = Literal["disconnect", "drop_oldest", "drop_newest"]
"""The fate of a message that a client's outbox has no room for.

``disconnect`` resets the connection, so that a client that stays has missed nothing.
``drop_oldest`` discards the oldest waiting messages for it (a feed whose newest value
counts). ``drop_newest`` discards the message itself (a log whose gap can be at the end).
"""

OptionsT = TypeVar("OptionsT", "Limits", "Timeouts")


def filled(options: OptionsT, defaults: OptionsT) -> OptionsT:
    """Return ``options`` with every field at :data:`INHERIT` taken from ``defaults``; those themselves if all are."""
    missing = {
        field.name: getattr(defaults, field.name)
        for field in fields(options)
        if getattr(options, field.name) == INHERIT
    }
    if len(missing) == len(fields(options)) and type(options) is type(defaults):
        return defaults  # a room has none of its own
    return replace(options, **missing)


def shown(options: Limits | Timeouts) -> str:
    """Return the ``repr`` of options: the fields that have been set."""
    values = ((field.name, getattr(options, field.name)) for field in fields(options))
    return f"{type(options).__name__}({', '.join(f'{name}={value!r}' for name, value in values if value != INHERIT)})"


def check_number(name: str, value: object, kind: str, least: float) -> None:
    """Check a number that a user set.

    Args:
        name: Its name in errors.
        value: The value set.
        kind: ``"int"`` or ``"float"``, with ``" | None"`` if it can be left out.
        least: The smallest value allowed.

    Raises:
        TypeError: For anything but such a number.
        ValueError: For a number below the least, or NaN.
    """
    optional, whole = "None" in kind, "float" not in kind
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        wanted = f"{'an int' if whole else 'a number'}{' or None' if optional else ''}"
        raise TypeError(f"{name} must be {wanted}, not {type(value).__name__}")
    if not value >= least:
        raise ValueError(f"{name} must be at least {least}, not {value!r}")


def refuse_below(options: object, least: float, *, inherit: bool = True) -> None:
    for field in fields(options):  # type: ignore[arg-type]
        value = getattr(options, field.name)
        if not inherit or value != INHERIT:
            check_number(f"{type(options).__name__}.{field.name}", value, str(field.type), least)


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Limits:
    """How much one client can make the server hold. A value equal to a limit passes.

    Raises:
        TypeError: For a field that is not a number.
        ValueError: For a field below 1, or a frame limit above the message limit.
    """

    max_message: int = INHERIT
    """Bytes of one message received, before decoding; default 1 MiB, as in ``websockets``.
    More closes 1009, decided from the frame header before the payload is read."""

    max_frame: int | None = INHERIT
    """Bytes of one data frame received; default None: only ``max_message`` counts.
    Browsers send a message as one frame, so a small value refuses them. More closes 1009."""

    max_fragments: int = INHERIT
    """Frames of one message at most; default 4096. Each costs the server far more
    time than its bytes cost the sender. More closes 1009."""

    max_queued_messages: int = INHERIT
    """Messages of one client that wait for the resource's hooks; default 256.
    When that many wait, the server stops reading from that client: TCP makes it wait."""

    max_queued_bytes: int = INHERIT
    """Bytes of messages that wait for the hooks; default 1 MiB. Each counts its
    payload (text beyond ASCII as it is in memory) and 144 for the objects that hold it. Reading
    stops at or above it, so at most this much waits, one receive buffer of 64 KiB and one message."""

    max_outbox: int = INHERIT
    """Bytes that wait to be sent to one client; default 1 MiB. Each frame counts its
    bytes and 64 for the object that holds it, a ``key`` 256 more: many empty messages are
    memory too. An empty outbox takes any one message. ``Resource.overflow`` decides the fate
    of more. Large values buy slow clients time with the server's memory."""

    unsent_low_water: int | None = INHERIT
    """Bytes not yet sent that the kernel holds for one client (``TCP_NOTSENT_LOWAT``);
    default None: an eighth of ``max_outbox``, but 128 KiB at least and 1 MiB at most. Small
    values notice a stalled reader sooner, and cost more system calls for large messages.
    Ignored where the kernel does not have it."""

    max_message_rate: float | None = INHERIT
    """Messages and control frames a second that are taken from one client; default None: any.
    One second's worth can come at once. The server stops reading for as long as a client is
    ahead, so it is slowed down, not cut off."""

    max_byte_rate: float | None = INHERIT
    """Bytes a second that are taken from one client; default None: any. As for messages."""

    __repr__ = shown

    def __post_init__(self) -> None:
        refuse_below(self, 1)
        if self.max_frame is not None and self.max_frame != INHERIT != self.max_message < self.max_frame:
            raise ValueError(f"max_frame {self.max_frame} is above max_message {self.max_message}: it would never act")

    @property
    def unsent_in_kernel(self) -> int:
        """The value of :attr:`unsent_low_water` in effect. No field it depends on can be at :data:`INHERIT`."""
        if self.unsent_low_water is not None:
            return self.unsent_low_water
        return min(max(self.max_outbox // 8, 128 * 1024), 1024 * 1024)


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Timeouts:
    """How long one client can take, in seconds.

    Raises:
        TypeError: For a field that is not a number.
        ValueError: For a negative field.
    """

    handshake: float = INHERIT
    """From accept to the 101, TLS and ``accept_client`` included; default 10. After it the server answers 408.
    Only the server's counts: the resource is not known until the request has been read."""

    ping_interval: float | None = INHERIT
    """Silence after which the server pings the peer; default 20, below the 30 to 60 s at which
    proxies and NATs forget a connection. None sends no pings: a dead peer is then noticed
    only when something is sent to it. A client that is not read, because its hooks are behind or it is ahead of
    its rate, is pinged as often and not given up: its pong would not be read, but a peer that has gone shows."""

    ping_timeout: float = INHERIT
    """Silence after a ping before the peer counts as dead and is reset; default 20. Less resets peers whose network was
    away for a moment, such as a phone in a tunnel; more keeps the places of dead ones longer."""

    write_stall: float = INHERIT
    """Time in which the peer takes none of the bytes that wait for it before it is reset; default
    30. Window updates of a slow reader can be 16 s apart, so values below 20 hit honest ones."""

    close: float = INHERIT
    """For the peer to answer our close frame; default 5. Also for the hooks to reach a peer's close frame: counted
    from the last message they took, of any client, so that a busy resource answers everything first, but twelve times
    as long in all. Then it is answered without the replies that are still to come. Small values cost polite clients
    of slow hooks their replies, large ones keep their sockets longer."""

    lame_duck: float = INHERIT
    """From the order to stop until the drain begins; default 0. In the meantime only ``readyz`` answers 503 and
    everything else goes on, so that a load balancer can notice. Only the server's counts."""

    drain: float = INHERIT
    """For all clients and hooks to finish when the server stops; default 8, below the 10 s after which Docker
    kills. Then they are cut off. Up to 100 clients are closed in one step, more in at least 20 batches spread over
    three quarters of it, so that they do not all come back at the same time."""

    hook: float | None = INHERIT
    """For one call of a hook; default None: any time. One that takes longer is cancelled where it
    waits and has failed, with :exc:`HookTimeout`. A hook that computes without waiting cannot be
    cancelled. ``accept_client`` has ``handshake``, functions run by ``call`` have any time."""

    slow_hook: float | None = INHERIT
    """After which the log names a hook that has not ended, with the place at which it waits; default 1. All hooks
    after it wait too. None for resources whose hooks take long on purpose."""

    worker: float | None = INHERIT
    """For the event loop of a worker to stand still, because a hook computes or the process is stopped, before the
    supervisor kills it and starts another one; default 30. After 1 s the log has its stack. None waits for ever. Only
    the server's counts, and only with ``workers``. Danger: with less than your longest computation, healthy workers
    are killed with all their clients."""

    __repr__ = shown

    def __post_init__(self) -> None:
        refuse_below(self, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """How much a server takes on in total.

    Raises:
        TypeError: For a field that is not a number.
        ValueError: For a field below 1.
    """

    max_clients: int | None = 1000
    """Clients connected at once, of all workers together; default 1000, under the usual limit of 1024 descriptors.
    The server answers 503 to a newcomer beyond it. A client counts until its ``disconnected`` has run.
    None sets no limit. Danger: only the descriptors of the process and the
    memory that idle clients take bound their number then."""

    max_clients_per_address: int | None = None
    """Clients from one address (IPv6: one /64), of all workers together; the server answers 429 to more. Default
    None: behind a proxy all clients share the proxy's address, unless ``trusted_proxies`` names the proxy. Workers
    count addresses in 4096 groups, so that one of a group can be refused for another's connections."""

    max_pending_handshakes: int = 200
    """Newcomers between accept and 101; default 200. While that many are under way the server
    accepts no more and the kernel's backlog holds the rest; those whose request is not whole
    after a second are then answered 408 to make room. Newcomers that wait until their resource can be joined, because
    ``running()`` takes long, or for another worker, do not count here, but as clients."""

    max_head: int = 16384
    """Bytes of the request head; default 16 KiB, as in h11. The server answers 431 to more."""

    max_body: int = 65536
    """Bytes of the body of a plain HTTP request to a route; default 64 KiB. The server answers 413 to more. As many
    bodies as :attr:`max_pending_handshakes` can be in memory at once, and they count for :attr:`max_queued_bytes`."""

    max_queued_bytes: int = 512 * 1024 * 1024
    """Bytes that wait for all clients together, either way; default 512 MiB. It counts as in
    :attr:`Limits.max_queued_bytes` and :attr:`Limits.max_outbox`, 144 for each post, and
    bodies of plain HTTP requests, and answers to these until the peer has taken them, so that the memory taken stays
    below twice of it. Beyond it the server does not read clients with messages waiting, resets those that
    make it hold most, and refuses answers with 503. A frame shared by a broadcast
    counts for each client."""

    backlog: int = 1024
    """Connections the kernel holds for ``accept``; default 1024. The kernel can cap it. A smaller number
    refuses clients that come together, a larger one lets them wait longer."""

    def __post_init__(self) -> None:
        refuse_below(self, 1, inherit=False)


DEFAULT_LIMITS = Limits(
    max_message=1024 * 1024,
    max_frame=None,
    max_fragments=4096,
    max_queued_messages=256,
    max_queued_bytes=1024 * 1024,
    max_outbox=1024 * 1024,
    unsent_low_water=None,
    max_message_rate=None,
    max_byte_rate=None,
)

DEFAULT_TIMEOUTS = Timeouts(
    handshake=10, ping_interval=20, ping_timeout=20, write_stall=30, close=5, lame_duck=0, drain=8, hook=None,
    slow_hook=1,
    worker=30,
)  # fmt: skip
