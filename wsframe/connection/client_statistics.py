"""The statistics of one client, as :meth:`Client.statistics` returns them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from wsframe.connection.interfaces import ClientLink

__all__ = ["ClientStatistics", "statistics_of"]


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


def statistics_of(link: ClientLink) -> ClientStatistics:
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
