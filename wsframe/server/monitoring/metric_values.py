"""All that can be counted of a running server, as plain numbers with names.

The names and labels are those of :func:`wsframe.metrics`, so that each number is defined here alone. Numbers of
several servers or processes can be added: :func:`summed`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from wsframe.connection.counters import BOUNDS, DurationBuckets, PathCounters
from wsframe.resources.server import Distribution, Metrics

if TYPE_CHECKING:
    from wsframe.connection.link import Link
    from wsframe.connection.reactor import Reactor
    from wsframe.hooks.listeners import Roster
    from wsframe.resources.topics.recovery import Histories
    from wsframe.resources.topics.topics import Topics
    from wsframe.server.admission import Admission
    from wsframe.server.capacity import Places
    from wsframe.server.monitoring.watchdog import Watchdog
    from wsframe.server.ownership.partition_owner import PartitionOwner
    from wsframe.server.peering import Peering

__all__ = ["FAMILIES", "Family", "metric_values", "summed", "total", "worker_labels"]

ALL_BOUNDS = (*BOUNDS, inf)


class Family(NamedTuple):
    """The meaning of the numbers of one name."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


def worker_labels(family: Family) -> tuple[str, ...]:
    """Return the labels that tell the numbers of one worker from those of another.

    A slot that is restarted has two processes for a while. Their gauges can be added; sums of their counts would
    fall once the old one has gone, and a scraper would take the rest for new counts.
    """
    return ("worker",) if family.kind == "gauge" else ("worker", "generation")


FAMILIES: dict[str, Family] = {
    "wsframe_clients": Family("gauge", "Open connections, including those that are ending.", ("resource",)),
    "wsframe_paused_clients": Family("gauge", "Clients that are not read for now.", ("resource",)),
    "wsframe_places": Family("gauge", "Places taken, by clients and by newcomers past the path check."),
    "wsframe_pending_handshakes": Family("gauge", "Newcomers that have no answer yet."),
    "wsframe_resources": Family("gauge", "Resources that are served."),
    "wsframe_ready": Family("gauge", "1 while newcomers are welcome, else 0."),
    "wsframe_handshakes_total": Family(
        "counter", "Handshakes by the status of the answer; none for peers that left before.", ("status",)
    ),
    "wsframe_http_responses_total": Family("counter", "Answers to requests for no WebSocket.", ("status",)),
    "wsframe_messages_total": Family(
        "counter", "Messages received (in) and queued for clients (out).", ("direction", "resource")
    ),
    "wsframe_bytes_total": Family(
        "counter", "Bytes of frames received (in) and sent (out), without TLS.", ("direction", "resource")
    ),
    "wsframe_messages_dropped_total": Family(
        "counter", "Messages that did not fit into an outbox, by overflow policy.", ("reason", "resource")
    ),
    "wsframe_queued_messages": Family("gauge", "Messages that wait for hooks.", ("resource",)),
    "wsframe_outbox_bytes": Family("gauge", "Bytes that wait for the kernel, with the cost of frames.", ("resource",)),
    "wsframe_held_bytes": Family("gauge", "Bytes that count towards max_queued_bytes."),
    "wsframe_held_bytes_limit": Family("gauge", "Capacity.max_queued_bytes."),
    "wsframe_hook_seconds": Family(
        "histogram", "Time of a hook, waits included; below 2 ms the mean of a batch.", ("resource",)
    ),
    "wsframe_hook_errors_total": Family("counter", "Errors that hooks raised.", ("hook", "resource")),
    "wsframe_queue_delay_seconds": Family(
        "histogram", "Time that a message waited for its hook, of one message in a batch.", ("resource",)
    ),
    "wsframe_loop_lag_seconds": Family(
        "histogram", "Time that the event loop took to answer, asked five times a second."
    ),
    "wsframe_pauses_total": Family("counter", "How often reading of a client was stopped.", ("reason",)),
    "wsframe_evictions_total": Family("counter", "Connections that the server reset.", ("reason",)),
    "wsframe_closes_total": Family("counter", "Connections that ended, by close code.", ("code",)),
    "wsframe_deflate_bytes_total": Family(
        "counter", "Bytes of messages that were compressed (out) or inflated (in).", ("direction", "form")
    ),
    "wsframe_history_recoveries_total": Family(
        "counter",
        "Clients that got all that they had missed (whole), and those that had missed too much (refused).",
        ("outcome",),
    ),
    "wsframe_history_holes_total": Family(
        "counter", "Holes in topics of this server that were filled, and those that were not (resync).", ("outcome",)
    ),
    "wsframe_worker_up": Family("gauge", "1 for a worker that serves, 0 for one that is down, starts or stands still."),
    "wsframe_backplane_up": Family("gauge", "1 while the other servers or workers can be reached, else 0."),
    "wsframe_partitions": Family("gauge", "Partitions of the shared resources that live here, of 256."),
    "wsframe_newcomers_passed_total": Family("counter", "Newcomers passed on to the worker of their resource."),
    "wsframe_newcomers_taken_total": Family("counter", "Newcomers that other workers passed to this one."),
    "wsframe_newcomers_lost_total": Family("counter", "Newcomers of other workers that got no descriptor here."),
    "wsframe_newcomers_parked": Family("gauge", "Newcomers that wait for room in the door of another worker."),
    "wsframe_carried_connections": Family("gauge", "Connections that this process carries to others, where they live."),
    "wsframe_spliced_total": Family("counter", "Newcomers carried to the other server that has their resource."),
    "wsframe_spliced_taken_total": Family("counter", "Newcomers that other servers have carried here."),
    "wsframe_carried_total": Family("counter", "Connections that this process has carried to others."),
    "wsframe_carried_held_bytes": Family("gauge", "Bytes of these connections that one side has yet to take."),
}
"""All names, in the order of the page."""


class MeasuredServer(Protocol):
    """The parts of a server that its numbers come from."""

    @property
    def roster(self) -> Roster: ...
    @property
    def admission(self) -> Admission: ...
    @property
    def reactor(self) -> Reactor: ...
    @property
    def places(self) -> Places: ...
    @property
    def watchdog(self) -> Watchdog: ...
    @property
    def peering(self) -> Peering | None: ...
    @property
    def histories(self) -> Histories: ...
    @property
    def topics(self) -> Topics: ...
    @property
    def owner(self) -> PartitionOwner | None: ...
    def unready(self) -> str: ...


def metric_values(server: MeasuredServer) -> Metrics:
    """Return all numbers of a server now. This walks through all clients: about 1 µs for each."""
    budget, admission = server.reactor.budget, server.admission
    found: dict[str, dict[tuple[str, ...], float | Distribution]] = {name: {} for name in FAMILIES}
    found["wsframe_places"][()] = server.places.reserved
    found["wsframe_pending_handshakes"][()] = len(admission.pending.under_way)
    found["wsframe_resources"][()] = len(server.roster)
    found["wsframe_ready"][()] = int(not server.unready())
    found["wsframe_held_bytes"][()] = budget.held
    found["wsframe_held_bytes_limit"][()] = budget.limit
    found["wsframe_loop_lag_seconds"][()] = distribution(server.watchdog.lags)
    totals = server.reactor.loop.counters
    for name, counts in (
        ("wsframe_handshakes_total", admission.answering.answers.handshakes),
        ("wsframe_http_responses_total", admission.answering.answers.pages),
        ("wsframe_pauses_total", totals.pauses),
        ("wsframe_evictions_total", totals.evictions),
        ("wsframe_closes_total", totals.closes),
    ):
        found[name].update(((key,), count) for key, count in counts.items())
    for direction, volume in (("in", totals.inflated), ("out", totals.deflated)):
        found["wsframe_deflate_bytes_total"][direction, "plain"] = volume.plain
        found["wsframe_deflate_bytes_total"][direction, "compressed"] = volume.packed
    histories = server.histories
    found["wsframe_history_recoveries_total"].update({("whole",): histories.recovered, ("refused",): histories.refused})
    found["wsframe_history_holes_total"].update({("filled",): histories.filled, ("resync",): histories.lost})
    for name, count in of_other_processes(server):
        found[name][()] = count
    links = by_account(server.reactor.links.values())
    for path, counters in server.roster.counters.by_path.items():
        for name, labels, number in of_path(counters, links.get(id(counters), [])):
            found[name][(*labels, path)] = number
    return found


def of_other_processes(server: MeasuredServer) -> Iterator[tuple[str, int]]:
    """Yield the numbers of the links to other processes, and of the connections that live there or come from there."""
    passage, loop = server.admission.passage, server.admission.carried.loop
    if server.topics.interest.others is not None:
        yield "wsframe_backplane_up", int(server.topics.up)
    if server.owner is not None:
        yield "wsframe_partitions", len(server.owner.owned.here)
    if passage is not None:
        yield "wsframe_newcomers_passed_total", passage.counts.passed
        yield "wsframe_newcomers_taken_total", passage.counts.taken
        yield "wsframe_newcomers_lost_total", passage.counts.lost
        yield "wsframe_newcomers_parked", len(passage.parked())
    if server.peering is not None:
        yield "wsframe_spliced_total", server.peering.splices.spliced
        yield "wsframe_spliced_taken_total", server.peering.port.taken
    yield "wsframe_carried_connections", len(loop)
    yield "wsframe_carried_total", loop.carried
    yield "wsframe_carried_held_bytes", loop.held


def by_account(links: Iterable[Link]) -> Mapping[int, list[Link]]:
    """Sort links by the counters of their path."""
    found: defaultdict[int, list[Link]] = defaultdict(list)
    for link in links:
        found[id(link.counters)].append(link)
    return found


def of_path(counters: PathCounters, links: list[Link]) -> Iterator[tuple[str, tuple[str, ...], float | Distribution]]:
    """Yield the numbers of a path: their name, the values of the labels before the path, the number."""

    def of_all(attribute: str) -> int:
        return sum(map(attrgetter(attribute), links))

    yield "wsframe_clients", (), len(links)
    yield "wsframe_paused_clients", (), of_all("inbox.paused")
    yield "wsframe_queued_messages", (), of_all("inbox.waiting")
    yield "wsframe_outbox_bytes", (), of_all("outbox.weight")
    yield "wsframe_messages_total", ("in",), counters.messages_received + of_all("inbox.received")
    yield "wsframe_messages_total", ("out",), counters.messages_sent + of_all("outbox.messages_sent")
    yield "wsframe_bytes_total", ("in",), counters.bytes_received + of_all("bytes_received")
    yield "wsframe_bytes_total", ("out",), counters.bytes_sent + of_all("outbox.bytes_sent")
    dropped = dict(counters.dropped)
    for link in links:
        outbox = link.outbox
        if outbox.dropped:
            dropped[outbox.overflow] = dropped.get(outbox.overflow, 0) + outbox.dropped
    for reason, count in dropped.items():
        yield "wsframe_messages_dropped_total", (reason,), count
    for hook, count in counters.failures.items():
        yield "wsframe_hook_errors_total", (hook,), count
    yield "wsframe_hook_seconds", (), distribution(counters.hooks)
    yield "wsframe_queue_delay_seconds", (), distribution(counters.waits)


def distribution(histogram: DurationBuckets) -> Distribution:
    return Distribution(ALL_BOUNDS, tuple(histogram.counts), histogram.seconds)


def total(metrics: Metrics, name: str, *labels: str) -> int:
    """Add up all numbers of a name whose first labels have these values."""
    numbers = (number for key, number in metrics[name].items() if key[: len(labels)] == labels)
    return int(sum(number for number in numbers if not isinstance(number, Distribution)))


def summed(several: Iterable[Metrics]) -> Metrics:
    """Add the numbers of several servers."""
    found: dict[str, dict[tuple[str, ...], float | Distribution]] = {}
    for name, labels, number in chain.from_iterable(map(every, several)):
        numbers = found.setdefault(name, {})
        numbers[labels] = number if labels not in numbers else add_values(numbers[labels], number)
    return found


def every(metrics: Metrics) -> Iterator[tuple[str, tuple[str, ...], float | Distribution]]:
    for name, numbers in metrics.items():
        for labels, number in numbers.items():
            yield name, labels, number


def add_values(one: float | Distribution, other: float | Distribution) -> float | Distribution:
    if isinstance(one, Distribution) and isinstance(other, Distribution):
        counts = tuple(map(sum, zip(one.counts, other.counts, strict=True)))
        return Distribution(one.bounds, counts, one.seconds + other.seconds)
    assert not isinstance(one, Distribution)
    assert not isinstance(other, Distribution)
    return one + other
