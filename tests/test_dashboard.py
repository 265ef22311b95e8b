"""The dashboard and the alert rules ask for metrics and labels that there are."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.documents import ROOT
from wsframe.server.monitoring.metric_values import FAMILIES

DASHBOARD = json.loads((ROOT / "deploy/grafana.json").read_text("utf-8"))
ALERTS = (ROOT / "deploy/alerts.yml").read_text("utf-8")

# Of prometheus-client's own, which the page has too, and of the scraper.
OTHERS = {"process_cpu_seconds_total", "process_resident_memory_bytes", "up"}
ALWAYS = {"job", "instance", "worker"}


def samples() -> dict[str, set[str]]:
    """Return the names of samples with their labels."""
    found: dict[str, set[str]] = {name: set() for name in OTHERS}
    for name, family in FAMILIES.items():
        labels = set(family.labels)
        if family.kind == "histogram":
            found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            found[name] = labels
    return found


SAMPLES = samples()


def check(query: str) -> set[str]:
    """Check the names and labels of a query; return the names."""
    used = set()
    for one in re.findall(r"\b(?:wsframe|process|up)\w*(?:\{[^}]*\})?", query):
        name, _, matchers = one.partition("{")
        assert name in SAMPLES, query
        used.add(name)
        labels = set(re.findall(r"(\w+)\s*(?:=~|!=|=)", matchers))
        assert labels <= SAMPLES[name] | ALWAYS, query
    assert used, query
    grouped = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", query) for label in group.split(",")}
    for name in used:
        assert grouped <= SAMPLES[name] | ALWAYS, query
    assert query.count("(") == query.count(")")
    for name in used:
        rated = re.search(rf"(?:rate|increase)\({name}(?:\{{[^}}]*\}})?\[", query)
        counts = name.endswith(("_total", "_bucket", "_sum", "_count"))
        assert bool(rated) == counts, f"counters are asked for their rate, and nothing else is: {query}"
    return used


QUERIES = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_a_panel_asks_for_metrics_that_there_are(title: str, query: str) -> None:
    check(query)


@pytest.mark.parametrize("query", re.findall(r"^\s+expr: (.*)$", ALERTS, re.MULTILINE))
def test_an_alert_asks_for_metrics_that_there_are(query: str) -> None:
    check(query)


def test_a_query_that_is_wrong_is_found() -> None:
    for query in (
        "wsframe_messages", "sum(rate(wsframe_messages_total{path=\"/\"}[5m]))", "wsframe_messages_total",
        "sum by (code) (rate(wsframe_messages_total[5m]))", "rate(wsframe_clients[5m])", "1",
    ):  # fmt: skip
        with pytest.raises(AssertionError):
            check(query)


def test_every_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    used = set().union(*(check(query) for _, query in QUERIES))
    used |= set().union(*(check(query) for query in re.findall(r"^\s+expr: (.*)$", ALERTS, re.MULTILINE)))
    left_out = {"wsframe_places", "wsframe_resources"}
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}
    assert set(FAMILIES) - names == left_out


def test_labels_of_legends_are_those_of_the_query() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            grouped = ", ".join(re.findall(r"\bby \(([^)]*)\)", target["expr"])) or "instance"
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert label in grouped, (panel["title"], target)


def test_panels_have_places_of_their_own_and_one_data_source() -> None:
    places: list[tuple[Any, ...]] = [(one["gridPos"]["x"], one["gridPos"]["y"]) for one in DASHBOARD["panels"]]
    assert len(set(places)) == len(places) == len({one["id"] for one in DASHBOARD["panels"]})
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert set(variables) == {"datasource", "job", "instance"}
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for name in ("job", "instance"):
        check(variables[name]["query"].replace("label_values(", "").rpartition(",")[0])
