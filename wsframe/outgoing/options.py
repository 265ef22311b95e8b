"""Options of outgoing connections."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, fields
from inspect import isawaitable
from math import inf
from random import random
from typing import TypeAlias, TypedDict, TypeVar

from wsframe.http.responses import HeaderFields
from wsframe.limits import DEFAULT_LIMITS, INHERIT, Limits, Timeouts, filled, refuse_below
from wsframe.protocol.deflate import Deflate

__all__ = ["Backoff", "ConnectOptions", "Opening", "OutgoingFields", "OutgoingURL", "value_of"]

GivenT = TypeVar("GivenT")

OutgoingURL: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""A URL, or a function that returns it, called before each try; it can be async."""

OutgoingFields: TypeAlias = HeaderFields | Callable[[], HeaderFields | Awaitable[HeaderFields]]
"""Header fields, or a function that returns them, called before each try; it can be async."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """Bounds of each phase of opening a connection: in seconds, and in bytes.

    A phase that takes longer is an :exc:`OpeningTimeout`. A redirect starts all of them again; bound all
    of it with ``trio.fail_after``.

    Raises:
        TypeError: For a field that is not a number.
        ValueError: For a negative field.
    """

    connect: float = 10
    """Resolving the name and connecting by TCP, to the proxy where there is one; default 10."""

    tunnel: float = 10
    """The proxy's answer, TLS with it included; default 10. A proxy connects before it answers."""

    tls: float = 10
    """The TLS handshake with the server; default 10. A server that is silent after TCP's handshake is
    cut off here."""

    handshake: float = 10
    """From the request to the end of the answer; default 10. A server that drips its answer
    is cut off here."""

    max_head: int = 16384
    """Bytes of the answer's head; default 16 KiB, as in h11."""

    max_body: int = 65536
    """Bytes of a refusal's body that :exc:`HandshakeRejected` keeps; default 64 KiB. The rest is not read."""

    max_redirects: int = 5
    """Redirects followed; default 5. Zero follows no redirect. One from wss to ws is never followed."""

    def __post_init__(self) -> None:
        refuse_below(self, 0, inherit=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """When :func:`connect_forever` tries again.

    The wait before a try is drawn evenly from zero to ``first``, then ``first * factor``
    and so on, at most ``most``: clients that lost one server do not all come back at the same time.

    Raises:
        TypeError: For a field that is not a number.
        ValueError: For a negative field, a factor below 1, or pauses without end.
    """

    first: float = 1.0
    """The longest that the first wait can take, in seconds; default 1."""

    factor: float = 2.0
    """How many times longer each wait can be than the one before; default 2.
    With 1 all waits are as long as the first, and clients in large numbers return all the time."""

    most: float = 60.0
    """The longest that any wait can take, in seconds; default 60. A server's ``Retry-After``, in seconds or as a
    date, counts up to this, so that no server can delay us without an end."""

    steady: float = 30.0
    """Seconds after which a connection counts as a success and the waits begin again;
    default 30. At 0 a server that accepts and immediately closes is tried again without an end."""

    def __post_init__(self) -> None:
        refuse_below(self, 0, inherit=False)
        for name in ("first", "most"):
            if getattr(self, name) == inf:
                raise ValueError(f"Backoff.{name} must be finite, not inf: no try would come after the pause")
        if self.factor < 1:
            raise ValueError(f"Backoff.factor must be at least 1, not {self.factor!r}")

    def delay(self, failures: int) -> float:
        """Draw the seconds to wait after that many failures in a row, at least one."""
        try:
            wait = float(self.first * self.factor ** min(failures - 1, 100))
        except OverflowError:  # a factor such as 2000, after a hundred failures
            wait = inf if self.first else 0.0
        return min(self.most, wait) * random()


class ConnectOptions(TypedDict, total=False):
    """The options of :func:`connect`, where they are described."""

    subprotocols: Iterable[str]
    headers: OutgoingFields
    keep_on_redirect: Iterable[str]
    unix: str | None
    ssl_context: ssl.SSLContext | None
    proxy: str | None
    deflate: Deflate | None
    limits: Limits
    timeouts: Timeouts
    opening: Opening


async def value_of(given: GivenT | Callable[[], GivenT | Awaitable[GivenT]]) -> GivenT:
    """Return a value; where a function was given in its place, the value that it returns."""
    value = given() if callable(given) else given
    return await value if isawaitable(value) else value


def filled_limits(limits: Limits) -> Limits:
    """Fill in the defaults.

    Raises:
        ValueError: For a rate, which only servers enforce.
    """
    for field in fields(limits):
        if field.name.endswith("_rate") and getattr(limits, field.name) not in (None, INHERIT):
            raise ValueError(f"Limits.{field.name} is for servers; leave it out for an outgoing connection")
    return filled(limits, DEFAULT_LIMITS)
