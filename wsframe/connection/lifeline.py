"""What a client asks of its link, and the statistics it gets from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from wsframe.connection.closing import Ending
    from wsframe.connection.dialect import AnyDecoder
    from wsframe.connection.mailbox import Inbox
    from wsframe.connection.pings import Pings
    from wsframe.protocol.close import State

__all__ = ["ClientStatistics", "Lifeline"]


class ClientStatistics(NamedTuple):
    """A snapshot of one client's traffic. Returned by :meth:`Client.statistics`."""

    messages_received: int
    messages_waiting: int
    """Messages that wait for the hooks."""
    octets_received: int
    """Octets of frames, behind the handshake; TLS is not counted."""
    octets_sent: int
    octets_waiting: int
    """What waits to be sent: its octets, and what the objects cost that hold them, 64 for each frame."""
    messages_dropped: int
    """Messages the overflow policy dropped."""
    latency: float | None
    """Seconds from the last keepalive ping to its pong; None before the first."""


class Lifeline(Protocol):
    """The parts of a link that clients and hooks use."""

    inbox: Inbox
    closing: Ending
    pings: Pings
    connection: AnyDecoder

    @property
    def state(self) -> State: ...

    def ask_resource(self) -> None: ...
    def close(self, code: int, reason: str, *, mute: bool = False) -> bool: ...
    def abort(self, reason: str, *, mute: bool) -> bool: ...
    def crashed(self, error: BaseException | None = None) -> None: ...
    def statistics(self) -> ClientStatistics: ...
