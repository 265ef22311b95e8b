"""The interfaces between a link and the rooms above: a new client's arrival, calls upwards, and calls from hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from wsframe.connection.protocol_version import RFC_6455, ProtocolVersion

if TYPE_CHECKING:
    from collections.abc import Hashable

    from wsframe.connection.counters import PathCounters
    from wsframe.connection.mailbox import Inbox, Mailbox
    from wsframe.connection.outbox import Outbox
    from wsframe.connection.pings import Pings
    from wsframe.connection.protocol_version import AnyDecoder
    from wsframe.doorbell import Signal
    from wsframe.http.request import Request
    from wsframe.limits import Limits, Overflow, Timeouts
    from wsframe.net.transport import Transport
    from wsframe.protocol.close import State
    from wsframe.protocol.closing import ClosingEvent, Phase
    from wsframe.protocol.deflate import Deflate, Terms
    from wsframe.protocol.encoder import Encoder
    from wsframe.protocol.events import Ended
    from wsframe.protocol.size_limits import Check

__all__ = ["CONNECTED", "Arrival", "ClientConnected", "ClientLink", "HeldPlace", "Host", "LinkedClient"]


class ClientConnected:
    """The first entry of a client in a mailbox."""


CONNECTED = ClientConnected()


class HeldPlace(Protocol):
    """The place a client holds in the server and in its resource."""

    def take(self, place: Hashable, max_in_place: int | None) -> bool: ...
    def settle(self) -> None: ...
    def release(self) -> None: ...


class End(Protocol):
    """The end of a link, as far as hooks have a part in it."""

    @property
    def phase(self) -> Phase: ...
    def note(self, ended: Ended) -> None: ...
    def on(self, event: ClosingEvent) -> None: ...


class Leave(Protocol):
    """The client's leaving, as far as hooks and clients have a part in it."""

    reservation: HeldPlace

    def left(self) -> None: ...
    def gone(self) -> Signal: ...


class ClientLink(Protocol):
    """A link, as far as its client and its hooks need it."""

    counters: PathCounters
    fd: int
    inbox: Inbox[Any]
    outbox: Outbox
    connection: AnyDecoder
    bytes_received: int

    @property
    def pings(self) -> Pings: ...
    @property
    def closing(self) -> End: ...
    @property
    def leaving(self) -> Leave: ...
    @property
    def state(self) -> State: ...

    def ask(self, check: Check) -> None: ...
    def close(self, code: int, reason: str, *, mute: bool = False) -> bool: ...
    def abort(self, reason: str, *, mute: bool) -> bool: ...
    def crashed(self, error: BaseException | None = None) -> None: ...


class LinkedClient(Protocol):
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
    def make_client(self, link: ClientLink, arrival: Arrival, encoder: Encoder | None) -> LinkedClient: ...
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
