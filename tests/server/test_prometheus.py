"""The numbers in the words of prometheus-client."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from wsframe.resources.server import Metrics
from wsframe.server.figures import FAMILIES
from wsframe.server.prometheus import MetricsCollector, page


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


def test_a_family_that_the_program_has_registered_as_well_is_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = CollectorRegistry()
    registry.register(MetricsCollector(none))
    monkeypatch.setattr("wsframe.server.prometheus.REGISTRY", registry)
    content, _ = page(none(), "")
    assert content.count(b"# TYPE wsframe_clients ") == 1
    assert content == generate_latest(registry)
