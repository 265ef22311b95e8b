"""What admission hands over to the reactor, and what both need of a resource's life."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from wsframe.connection.dialect import RFC_6455, Dialect

if TYPE_CHECKING:
    from wsframe.connection.mailbox import Inbox, Mailbox
    from wsframe.http.request import Request
    from wsframe.limits import Limits, Timeouts
    from wsframe.net.sockets import Endpoint
    from wsframe.net.tls import TLSCodec
    from wsframe.protocol.deflate import Deflate, Terms
    from wsframe.resources.resource import Resource

__all__ = ["CONNECTED", "Arrival", "Connected", "Host", "Reservation"]


class Connected:
    """The first thing a mailbox holds of a client."""


CONNECTED = Connected()


class Reservation(Protocol):
    """The place a client holds in the server and in its resource."""

    def take(self, place: Hashable, max_in_place: int | None) -> bool: ...
    def settle(self) -> None: ...
    def release(self) -> None: ...


class Host(Protocol):
    """The life of a resource, as far as a link needs it."""

    resource: Resource[Any]
    limits: Limits
    timeouts: Timeouts
    deflate: Deflate | None

    @property
    def over(self) -> bool: ...
    def mailbox_for_client(self) -> Mailbox: ...
    def leave(self) -> None: ...
    def welcome(self, inbox: Inbox) -> None: ...


class Arrival(NamedTuple):
    """A newcomer who has got the 101."""

    sock: Endpoint
    tls: TLSCodec | None
    request: Request
    subprotocol: str | None
    data: object
    host: Host
    reservation: Reservation
    terms: Terms | None = None
    dialect: Dialect = RFC_6455
