"""What admission hands over to the reactor, and what both need of a resource's life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from wsframe.endpoint import Endpoint
    from wsframe.limits import Limits, Timeouts
    from wsframe.mailbox import Inbox, Mailbox
    from wsframe.protocol.deflate import Deflate, Terms
    from wsframe.protocol.pool import Reservation
    from wsframe.request import Request
    from wsframe.resource import Resource
    from wsframe.tls import TLSCodec

__all__ = ["CONNECTED", "Arrival", "Connected", "Host"]


class Connected:
    """The first thing a mailbox holds of a client."""


CONNECTED = Connected()


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
    version: int = 13
