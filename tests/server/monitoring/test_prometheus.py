"""The numbers in the words of prometheus-client."""

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from wsframe.resources.server import Metrics
from wsframe.server.monitoring.metric_values import FAMILIES
from wsframe.server.monitoring.prometheus import MetricsCollector, page


def none() -> Metrics:
    return {name: {} for name in FAMILIES}


def test_a_collector_can_be_registered_before_there_are_numbers() -> None:
    def too_early() -> Metrics:
        raise AssertionError("asked for numbers")

    registry = CollectorRegistry()
    registry.register(MetricsCollector(too_early))
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(MetricsCollector(none))


def test_names_end_as_prometheus_wants_them() -> None:
    """Its linter complains about others."""
    for name, family in FAMILIES.items():
        assert name.endswith("_total") == (family.kind == "counter"), name
        assert family.help.endswith("."), name
        assert "_bytes" in name or "_seconds" in name or family.kind != "histogram"


PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
ACCEPTED = {
    "": PLAIN,
    "application/openmetrics-text": OPEN,
    "application/openmetrics-text;version=1.0.0;escaping=values": f"{OPEN}; escaping=values",
    'application/openmetrics-text; version="1.0.0"': f"{OPEN}; escaping=underscores",
    "APPLICATION/OpenMetrics-Text;Version=1.0.0": f"{OPEN}; escaping=underscores",
    "text/plain;version=1.0.0": "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
    "application/openmetrics-text;version=abc": PLAIN,
    "application/openmetrics-text;version=1.x": PLAIN,
    "text/plain;version=latest": PLAIN,
    "application/openmetrics-text;version=2.<b>": PLAIN,
    f"application/openmetrics-text;version={'9' * 5000}": PLAIN,
    "application/openmetrics-text;version=2.0.0, application/openmetrics-text;version=1.0.0;q=0.5": (
        f"{OPEN}; escaping=underscores"
    ),
    "application/openmetrics-text;q=0, text/plain;q=0.5": PLAIN,
    "application/openmetrics-text;q=0.000": PLAIN,
    ";;=,;version": PLAIN,
}


@pytest.mark.parametrize("accept", ACCEPTED)
def test_the_format_is_one_of_those_accepted_that_there_are(accept: str) -> None:
    """A version that nobody writes is neither an error nor claimed to be written."""
    assert page(none(), accept)[1] == ACCEPTED[accept]


def test_a_family_that_the_program_has_registered_as_well_is_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = CollectorRegistry()
    registry.register(MetricsCollector(none))
    monkeypatch.setattr("wsframe.server.monitoring.prometheus.REGISTRY", registry)
    content, _ = page(none(), "")
    assert content.count(b"# TYPE wsframe_clients ") == 1
    assert content == generate_latest(registry)


def test_numbers_of_a_process_name_the_worker_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker has its own: without the name a scraper would see one counter rise and fall."""
    registry = CollectorRegistry()
    Counter("own", "Own.", ("worker",), registry=registry).labels("theirs").inc()
    Counter("jobs", "Jobs.", registry=registry).inc(3)
    monkeypatch.setattr("wsframe.server.monitoring.prometheus.REGISTRY", registry)
    known: Metrics = {"wsframe_clients": {("/", "1"): 4.0}, "wsframe_bytes_total": {("in", "/", "1", "2"): 5.0}}
    numbers = {**none(), **known}
    content, _ = page(numbers, "", 1)
    families = {one.name: one for one in text_string_to_metric_families(content.decode())}
    found = {(sample.name, *sample.labels.items()): sample.value for one in families.values() for sample in one.samples}
    assert found["jobs_total", ("worker", "1")] == 3
    assert found["own_total", ("worker", "theirs")] == 1
    assert found["wsframe_clients", ("resource", "/"), ("worker", "1")] == 4
    assert (
        found["wsframe_bytes_total", ("direction", "in"), ("generation", "2"), ("resource", "/"), ("worker", "1")] == 5
    )
    assert b"jobs_total 3.0" in page(none(), "")[0]
