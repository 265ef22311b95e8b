"""The parts of a link that its client and its hooks use, and the client's statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable

    from wsframe.connection.counters import PathCounters
    from wsframe.connection.mailbox import Inbox
    from wsframe.connection.outbox import Outbox
    from wsframe.connection.pings import Pings
    from wsframe.connection.protocol_version import AnyDecoder
    from wsframe.doorbell import Signal
    from wsframe.protocol.close import State
    from wsframe.protocol.closing import ClosingEvent, Phase
    from wsframe.protocol.events import Ended
    from wsframe.protocol.size_limits import Check

__all__ = ["ClientStatistics", "HeldPlace", "Lifeline", "statistics_of"]


class ClientStatistics(NamedTuple):
    """A snapshot of one client's traffic. Returned by :meth:`Client.statistics`."""

    messages_received: int
    messages_waiting: int
    """Messages that wait for the hooks."""
    messages_sent: int
    """Messages queued for the client so far, those included that the overflow policy dropped later."""
    bytes_received: int
    """Bytes of frames after the handshake; TLS is not counted."""
    bytes_sent: int
    bytes_waiting: int
    """Bytes that wait to be sent, and 64 for each frame, which is the cost of the objects that hold it."""
    messages_dropped: int
    """Messages the overflow policy dropped."""
    latency: float | None
    """Seconds from the newest ping to its pong; None before the first."""


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


class Lifeline(Protocol):
    """The parts of a link that clients and hooks use."""

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

    def ask(self, check: Check | None) -> None: ...
    def close(self, code: int, reason: str, *, mute: bool = False) -> bool: ...
    def abort(self, reason: str, *, mute: bool) -> bool: ...
    def crashed(self, error: BaseException | None = None) -> None: ...


def statistics_of(link: Lifeline) -> ClientStatistics:
    inbox, outbox = link.inbox, link.outbox
    return ClientStatistics(
        messages_received=inbox.received,
        messages_waiting=inbox.waiting,
        messages_sent=outbox.messages_sent,
        bytes_received=link.bytes_received,
        bytes_sent=outbox.bytes_sent,
        bytes_waiting=outbox.counted,
        messages_dropped=outbox.dropped,
        latency=link.connection.deadlines.latency,
    )
