"""The values that admission hands over to the reactor, and the calls a link makes upwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from wsframe.connection.protocol_version import RFC_6455, ProtocolVersion

if TYPE_CHECKING:
    from wsframe.connection.counters import PathCounters
    from wsframe.connection.lifeline import HeldPlace, Lifeline
    from wsframe.connection.mailbox import Inbox, Mailbox
    from wsframe.http.request import Request
    from wsframe.limits import Limits, Overflow, Timeouts
    from wsframe.net.transport import Transport
    from wsframe.protocol.deflate import Deflate, Terms
    from wsframe.protocol.encoder import Encoder
    from wsframe.protocol.events import Ended
    from wsframe.protocol.size_limits import Check

__all__ = ["CONNECTED", "Arrival", "ClientConnected", "Host", "LinkClient"]


class ClientConnected:
    """The first entry of a client in a mailbox."""


CONNECTED = ClientConnected()


class LinkClient(Protocol):
    """The client of a link, as far as the link needs it."""

    _id: str | None
    _encoder: Encoder | None

    @property
    def request(self) -> Request: ...
    @property
    def subprotocol(self) -> str | None: ...
    @property
    def data(self) -> object: ...
    def _note_end(self, ended: Ended) -> None: ...


class Host(Protocol):
    """The life of a resource, as far as a link needs it."""

    limits: Limits
    timeouts: Timeouts
    deflate: Deflate | None
    counters: PathCounters

    @property
    def over(self) -> bool: ...
    @property
    def overflow(self) -> Overflow: ...
    def make_client(self, link: Lifeline, arrival: Arrival, encoder: Encoder | None) -> LinkClient: ...
    def check_for(self, client: Any) -> Check | None: ...
    def mailbox_for_client(self) -> Mailbox[Any]: ...
    def leave(self) -> None: ...
    def welcome(self, inbox: Inbox[Any]) -> None: ...


class Arrival(NamedTuple):
    """A new client that the server has sent the 101."""

    transport: Transport
    request: Request
    subprotocol: str | None
    data: object
    host: Host
    reservation: HeldPlace
    terms: Terms | None = None
    version: ProtocolVersion = RFC_6455
