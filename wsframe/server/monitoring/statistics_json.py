"""The statistics of a server as JSON, and read from it: other processes ask for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Any

import trio

from wsframe.resources.client import Client
from wsframe.resources.server import Distribution, Metrics, ResourceStatistics, Server, ServerStatistics
from wsframe.server.monitoring.metric_values import FAMILIES, summed

__all__ = ["SLOWEST", "snapshot", "statistics_of", "statistics_to_json", "together"]

SLOWEST = 20


def snapshot(server: Server) -> dict[str, Any]:
    """Return the state of a server, ready for JSON."""
    return {
        "time": trio.current_time(),
        "addresses": server.addresses,
        **statistics_to_json(server.statistics()),
        "slowest": [snapshot_of(client) for client in server.slowest_clients(SLOWEST)],
    }


def statistics_to_json(statistics: ServerStatistics) -> dict[str, Any]:
    """Return statistics ready for JSON."""
    return {
        **statistics._asdict(),
        "by_resource": [resource._asdict() for resource in statistics.by_resource],
        "metrics": {name: series_of(name, numbers) for name, numbers in statistics.metrics.items()},
    }


def series_of(name: str, numbers: Mapping[tuple[str, ...], float | Distribution]) -> list[dict[str, Any]]:
    """Return the numbers of one name, each with its labels."""
    names = FAMILIES[name].labels
    return [{"labels": dict(zip(names, labels, strict=True)), **value_of(number)} for labels, number in numbers.items()]


def value_of(number: float | Distribution) -> dict[str, Any]:
    if isinstance(number, Distribution):
        finite = number.bounds[:-1]  # JSON has no infinity
        return {"bounds": finite, "counts": number.counts, "seconds": number.seconds}
    return {"value": number}


def snapshot_of(client: Client) -> dict[str, Any]:
    return {
        "host": client.host,
        "port": client.port,
        "path": client.path,
        "resource": type(client.resource).__name__,
        **client.statistics()._asdict(),
    }


def statistics_of(found: Mapping[str, Any]) -> ServerStatistics:
    """Return the statistics in a snapshot."""
    fields = {name: found[name] for name in ServerStatistics._fields if name not in ("by_resource", "metrics")}
    by_resource = (ResourceStatistics(**(one | {"paths": tuple(one["paths"])})) for one in found["by_resource"])
    metrics = {name: numbers_of(name, found["metrics"].get(name, ())) for name in FAMILIES}
    return ServerStatistics(**fields, by_resource=tuple(by_resource), metrics=metrics)


def numbers_of(name: str, series: Iterable[Mapping[str, Any]]) -> dict[tuple[str, ...], float | Distribution]:
    labels = FAMILIES[name].labels
    return {tuple(one["labels"][label] for label in labels): number_of(one) for one in series}


def number_of(one: Mapping[str, Any]) -> float | Distribution:
    if "bounds" in one:
        return Distribution((*one["bounds"], inf), tuple(one["counts"]), one["seconds"])
    value: float = one["value"]
    return value


def together(several: Iterable[ServerStatistics]) -> ServerStatistics:
    """Add the statistics of several servers; a resource that several have is counted once, with all its clients."""
    given = list(several)
    by_resource: dict[tuple[str, tuple[str, ...]], ResourceStatistics] = {}
    for one in (one for statistics in given for one in statistics.by_resource):
        key = (one.name, one.paths)
        by_resource[key] = add_resources(by_resource[key], one) if key in by_resource else one
    sums: dict[str, Any] = {
        name: sum(getattr(one, name) for one in given)
        for name in ServerStatistics._fields
        if name not in ("by_resource", "metrics")
    }
    metrics: Metrics = {name: {} for name in FAMILIES} | dict(summed(one.metrics for one in given))
    return ServerStatistics(**sums, by_resource=tuple(by_resource.values()), metrics=metrics)


def add_resources(one: ResourceStatistics, other: ResourceStatistics) -> ResourceStatistics:
    sums: dict[str, Any] = {name: getattr(one, name) + getattr(other, name) for name in ResourceStatistics._fields[2:]}
    return one._replace(**sums)
