"""Numbers to be read at any time: those of one path's clients and hooks, and those of a whole server.

Nothing here is a metric of a monitoring system. Objects that are busy add to plain numbers, most of them once
for each client or batch and not for each message; ``server/monitoring/metric_values`` reads them when somebody asks.

An open connection counts in its link. When the link has gone, its numbers are added to the counters of its path.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Protocol

from wsframe.protocol.close import CloseCode
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.deflate import Deflater, Volume
from wsframe.protocol.events import Ended

if TYPE_CHECKING:
    from wsframe.connection.mailbox import Inbox
    from wsframe.connection.outbox import Outbox

__all__ = ["BOUNDS", "OTHER", "Counted", "DurationBuckets", "PathCounters", "ServerCounters"]

BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets of a :class:`DurationBuckets`, in seconds."""
OTHER = "other"
"""Stands for all values beyond those that are told apart, so that no peer can make a server count without end."""

CLOSE_CODES = frozenset(CloseCode)

# These are there from the beginning: of a counter that begins at 1, Prometheus sees no increase.
USUAL_HOOKS = ("client_connected", "received_text", "received_binary", "disconnected")
EVICTIONS = (
    "aborted", "close_timeout", "internal_error", "outbox_full", "ping_timeout", "server_out_of_memory",
    "server_stopped", "write_stall",
)  # fmt: skip
PAUSES = ("memory", "queue", "rate")


class DurationBuckets:
    """Durations in buckets."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts: list[int] = [0] * (len(BOUNDS) + 1)
        """The durations up to each of the :data:`BOUNDS`, and in the end those beyond the last."""
        self.seconds: float = 0.0
        """All durations together."""

    def add(self, seconds: float, times: int = 1) -> None:
        """Count a duration, as often as it occurred."""
        self.counts[bisect_left(BOUNDS, seconds)] += times
        self.seconds += seconds * times


class Counted(Protocol):
    """A link, as far as its counts go."""

    bytes_received: int

    @property
    def inbox(self) -> Inbox[Any]: ...
    @property
    def outbox(self) -> Outbox: ...


class PathCounters:
    """The numbers of one path: of clients that are gone, and of all its hooks."""

    __slots__ = (
        "bytes_received",
        "bytes_sent",
        "dropped",
        "failures",
        "hooks",
        "messages_received",
        "messages_sent",
        "path",
        "waits",
    )  # fmt: skip

    def __init__(self, path: str = "") -> None:
        self.path: str = path
        """The path as it was registered, or a word in its place."""
        self.messages_received: int = 0
        self.messages_sent: int = 0
        self.bytes_received: int = 0
        self.bytes_sent: int = 0
        self.dropped: dict[str, int] = {}
        """Messages that were dropped, by overflow policy."""
        self.failures: dict[str, int] = dict.fromkeys(USUAL_HOOKS, 0)
        """Errors of hooks, by hook."""
        self.hooks: DurationBuckets = DurationBuckets()
        """The times that hooks took. A hook above 2 ms is counted by itself; the shorter ones of a batch count with
        their mean."""
        self.waits: DurationBuckets = DurationBuckets()
        """The times that messages waited for their hooks, of one message in each batch at most."""

    def settle(self, link: Counted, sign: int = 1) -> None:
        """Add the counts of a link, when it goes; or subtract it with -1, when it comes from another path."""
        inbox, outbox = link.inbox, link.outbox
        self.messages_received += sign * inbox.received
        self.messages_sent += sign * outbox.messages_sent
        self.bytes_received += sign * link.bytes_received
        self.bytes_sent += sign * outbox.bytes_sent
        if outbox.dropped:
            self.dropped[outbox.overflow] = self.dropped.get(outbox.overflow, 0) + sign * outbox.dropped

    def failed(self, hook: str) -> None:
        """Count an error of a hook."""
        self.failures[hook] = self.failures.get(hook, 0) + 1


class ServerCounters:
    """The numbers of all connections of a server, whatever their path."""

    __slots__ = ("closes", "deflated", "evictions", "inflated", "pauses")

    def __init__(self) -> None:
        self.closes: dict[str, int] = {}
        """Connections that ended, by close code; codes that are not registered are one."""
        self.evictions: dict[str, int] = dict.fromkeys(EVICTIONS, 0)
        """Connections that we reset, by reason."""
        self.pauses: dict[str, int] = dict.fromkeys(PAUSES, 0)
        """How often reading of a client was stopped, by reason."""
        self.deflated: Volume = Volume()
        """The messages that were compressed."""
        self.inflated: Volume = Volume()
        """The messages that were inflated."""

    def measure(self, decoder: object, encoder: object) -> None:
        """Count the messages that a client's decoder inflates and its encoder compresses."""
        if isinstance(decoder, Decoder) and decoder.inflate is not None:
            decoder.inflate.volume = self.inflated
        if isinstance(encoder, Deflater):
            encoder.volume = self.deflated

    def ended(self, ended: Ended) -> None:
        """Count the end of a connection. That it was reset by us shows in its reason, which is one of our own."""
        key = str(int(ended.code)) if ended.code in CLOSE_CODES else OTHER
        self.closes[key] = self.closes.get(key, 0) + 1
        if ended.code == CloseCode.ABNORMAL_CLOSURE and ended.reason != "connection lost":
            reason = ended.reason.replace(" ", "_")
            self.evictions[reason] = self.evictions.get(reason, 0) + 1

    def paused(self, reason: str) -> None:
        """Count a client that is not read for a time."""
        self.pauses[reason] = self.pauses.get(reason, 0) + 1
