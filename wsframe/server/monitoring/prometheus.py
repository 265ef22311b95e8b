"""Metrics in the text formats that Prometheus reads, made by prometheus-client when it asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from itertools import accumulate
from math import inf
from re import compile as pattern

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from wsframe.resources.server import Distribution, Metrics
from wsframe.server.monitoring.metric_values import FAMILIES, Family, worker_labels

__all__ = ["MetricsCollector", "page"]

WRITTEN = frozenset({"", "0.0.1", "0.0.4", "1.0.0"})
"""The versions of each format that a client can ask for."""
NEVER = pattern(r"0(?:\.0{0,3})?")
"""The weight of a media type that is not acceptable (RFC 9110 section 12.4.2)."""


class MetricsCollector(Collector):
    """Gives the metrics of a server to a registry of prometheus-client.

    Args:
        take: Returns the numbers at the time of a scrape.
        more_labels: Returns the labels that each number of a family has beyond those of it.
    """

    def __init__(
        self, take: Callable[[], Metrics], more_labels: Callable[[Family], tuple[str, ...]] = lambda family: ()
    ) -> None:
        self._more_labels = more_labels
        self._take = take

    def collect(self) -> Iterator[Metric]:
        """Yield a family for each name."""
        metrics = self._take()
        for name, family in FAMILIES.items():
            yield metric(name, family._replace(labels=(*family.labels, *self._more_labels(family))), metrics[name])

    def describe(self) -> Iterator[Metric]:
        """Yield the families without numbers: a registry asks for their names before there is a server."""
        for name, family in FAMILIES.items():
            yield metric(name, family, {})


def metric(name: str, family: Family, numbers: Mapping[tuple[str, ...], float | Distribution]) -> Metric:
    """Make the family of one name."""
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(name, family.help, labels=family.labels)
        for labels, number in numbers.items():
            assert isinstance(number, Distribution)
            counts = accumulate(number.counts)
            bounds = ("+Inf" if bound == inf else str(bound) for bound in number.bounds)
            histogram.add_metric(labels, list(zip(bounds, counts, strict=True)), number.seconds)
        return histogram
    made: CounterMetricFamily | GaugeMetricFamily
    if family.kind == "counter":
        made = CounterMetricFamily(name.removesuffix("_total"), family.help, labels=family.labels)
    else:
        made = GaugeMetricFamily(name, family.help, labels=family.labels)
    for labels, number in numbers.items():
        assert not isinstance(number, Distribution)
        made.add_metric(labels, number)
    return made


def understood(accept: str) -> str:
    """Return an Accept with the media types of it that prometheus-client writes, as ``choose_encoder`` reads them.

    That function knows neither quotation marks nor ``q=0``, raises for a version of letters, and claims to write each
    newer one.
    """
    kept = []
    for element in accept.split(","):
        kind, *pairs = (part.strip(" \t") for part in element.split(";"))
        given = {name.lower(): value.strip('"') for name, _, value in (pair.partition("=") for pair in pairs)}
        if given.get("version", "") in WRITTEN and NEVER.fullmatch(given.get("q", "1")) is None:
            chosen = (f"{name}={given[name]}" for name in ("version", "escaping") if name in given)
            kept.append(";".join([kind.lower(), *chosen]))
    return ",".join(kept)


class MetricsPage(Collector):
    """The metrics of a server, and after them those of this process: the program's own, and prometheus-client's.

    Args:
        own: Gives those of the server.
        process: Labels of those of the process; without them a counter would fall with each other process that answers.
    """

    def __init__(self, own: Collector, process: Mapping[str, str]) -> None:
        self._own = own
        self._process = process

    def collect(self) -> Iterator[Metric]:
        """Yield each family once: the program can have registered the server's, too."""
        seen = set()
        for found in self._own.collect():
            seen.add(found.name)
            yield found
        for found in REGISTRY.collect():
            if found.name not in seen:
                seen.add(found.name)
                yield labelled(found, self._process) if self._process else found


def labelled(found: Metric, labels: Mapping[str, str]) -> Metric:
    """Return a family whose samples have more labels; those that they have already stay."""
    made = copy(found)
    made.samples = [sample._replace(labels={**labels, **sample.labels}) for sample in found.samples]
    return made


def page(metrics: Metrics, accept: str, slot: int | None = None) -> tuple[bytes, str]:
    """Make the page of a server's metrics.

    Args:
        metrics: The numbers; those of a worker have the labels of :func:`worker_labels` beyond those of their family.
        accept: The value of the request's Accept, which chooses between the text format and OpenMetrics.
        slot: The number of the worker that answers; None for a server that is not one of several.

    Returns:
        The page and its content type.
    """
    encode, content_type = choose_encoder(understood(accept))
    if slot is None:
        return encode(MetricsPage(MetricsCollector(lambda: metrics), {})), content_type
    return encode(MetricsPage(MetricsCollector(lambda: metrics, worker_labels), {"worker": str(slot)})), content_type
