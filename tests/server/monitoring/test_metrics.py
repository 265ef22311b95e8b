"""The page of metrics as a route: the answer to a scraper, and refusals."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import prometheus_client
import pytest
import trio
import trio.lowlevel
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse

import wsframe
from tests.patience import PATIENCE
from tests.recorder import Echo
from tests.server.http_get import get
from tests.wire import connected, serving, text
from wsframe import Distribution, http_routes, metrics
from wsframe.server.monitoring.metric_values import FAMILIES

ROUTES = http_routes({"/metrics": metrics})
OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def samples(page: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return the samples of a page: by name and values of labels, in the order of the names of labels."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in parse(page)
        for sample in family.samples
    }


async def echo(server: wsframe.Server, path: str = "/") -> None:
    async with connected(server, path) as peer:
        await peer.send(text("1"))
        await peer.receive_text()
        await peer.finish()


async def test_a_scraper_gets_every_name_with_its_kind_and_help() -> None:
    async with serving(Echo(), http_handler=ROUTES) as server:
        await echo(server)
        answer = await get(server.addresses[0])
        assert (answer.status, answer.fields["cache-control"]) == (200, "no-store")
        assert answer.fields["content-type"].startswith("text/plain; version=")
        found = {family.name: family for family in parse(answer.text)}
        for name, family in FAMILIES.items():
            shown = found[name.removesuffix("_total")]
            assert (shown.type, shown.documentation) == (family.kind, family.help)


async def test_the_page_has_the_numbers_of_statistics() -> None:
    async with serving(Echo(), http_handler=ROUTES) as server:
        await echo(server)
        while server.clients:
            await trio.lowlevel.checkpoint()
        metrics = server.statistics().metrics
        page = samples((await get(server.addresses[0])).text)
        own = {key: value for key, value in page.items() if key[0].startswith("wsframe_")}
        expected: dict[tuple[str, tuple[str, ...]], float] = {}
        for name, numbers in metrics.items():
            for labels, number in numbers.items():
                if isinstance(number, Distribution):
                    expected[f"{name}_count", labels] = sum(number.counts)
                    expected[f"{name}_sum", labels] = number.seconds
                else:
                    expected[name, labels] = number
        expected.pop(("wsframe_pending_handshakes", ()))  # 1 now: the scraper
        own.pop(("wsframe_pending_handshakes", ()))
        assert {key: value for key, value in own.items() if not key[0].endswith("_bucket")} == expected


async def test_buckets_add_up_to_the_count() -> None:
    async with serving(Echo(), http_handler=ROUTES) as server:
        await echo(server)
        text_of_page = (await get(server.addresses[0])).text
        [hooks] = [family for family in parse(text_of_page) if family.name == "wsframe_hook_seconds"]
        buckets = [sample for sample in hooks.samples if sample.name.endswith("_bucket")]
        values = [sample.value for sample in buckets]
        assert values == sorted(values)
        assert buckets[-1].labels["le"] == "+Inf"
        assert values[-1] == samples(text_of_page)["wsframe_hook_seconds_count", ("/",)] >= 1


@pytest.mark.parametrize("accept", [OPEN_METRICS, "application/openmetrics-text; version=0.0.1", "text/html", "*/*"])
async def test_open_metrics_is_for_those_that_ask_for_it(accept: str) -> None:
    async with serving(Echo(), http_handler=ROUTES) as server:
        await echo(server)
        answer = await get(server.addresses[0], accept=accept)
        asked = accept == OPEN_METRICS
        kind = "application/openmetrics-text; version=1.0.0" if asked else "text/plain"
        assert answer.fields["content-type"].startswith(kind)
        read: Callable[[str], Iterable[Any]] = parse_open_metrics if asked else parse
        assert "wsframe_clients" in [family.name for family in read(answer.text)]


async def test_head_gets_the_head_and_other_methods_nothing() -> None:
    async with serving(Echo(), http_handler=ROUTES) as server:
        answer = await get(server.addresses[0], method="HEAD")
        assert (answer.status, answer.body) == (200, b"")
        assert int(answer.fields["content-length"]) > 1000
        answer = await get(server.addresses[0], method="DELETE")
        assert (answer.status, answer.fields["allow"]) == (405, "GET, HEAD")


ODD = ['/a"b', "/naïve/日本", "/{room}", "/%0A%5C", "/a b", "*"]


@pytest.mark.parametrize("path", ODD)
async def test_a_path_with_any_characters_makes_a_page_that_can_be_parsed(path: str) -> None:
    registry = wsframe.Registry(alone=True)
    registry.register(path, Echo())
    with trio.fail_after(PATIENCE):
        async with wsframe.open_server(registry, port=0, http_handler=ROUTES) as server:
            for accept, read in (("", parse), (OPEN_METRICS, parse_open_metrics)):
                page = (await get(server.addresses[0], accept=accept)).text
                [clients] = [family for family in read(page) if family.name == "wsframe_clients"]
                assert [sample.labels["resource"] for sample in clients.samples] == registry.paths()


async def test_a_scrape_of_many_resources_is_bounded() -> None:
    registry = wsframe.Registry(alone=True)
    for at in range(250):
        registry.register(f"/{at}", Echo())
    with trio.fail_after(120):
        async with wsframe.open_server(registry, port=0, http_handler=ROUTES) as server:
            await echo(server, "/234")
            page = (await get(server.addresses[0])).text
            assert page.count("\n") < 6000
            found = samples(page)
            assert found["wsframe_messages_total", ("in", "other")] == 1
            assert found["wsframe_resources", ()] == 250


async def test_the_page_can_be_a_route_of_a_registry() -> None:
    registry = wsframe.Registry(alone=True)
    registry.register("/", Echo())
    registry.route("/metrics", metrics)
    with trio.fail_after(PATIENCE):
        async with wsframe.open_server(registry, port=0) as server:
            assert (await get(server.addresses[0])).status == 200
            found = samples((await get(server.addresses[0])).text)
            assert found["wsframe_http_responses_total", ("200",)] == 1


@pytest.fixture
def counter() -> Iterator[prometheus_client.Counter]:
    counter = prometheus_client.Counter("orders_of_test_metrics", "Orders.")
    yield counter
    prometheus_client.REGISTRY.unregister(counter)


async def test_metrics_of_the_program_itself_are_on_the_page(counter: prometheus_client.Counter) -> None:
    counter.inc(7)
    async with serving(Echo(), http_handler=ROUTES) as server:
        found = samples((await get(server.addresses[0])).text)
        assert found["orders_of_test_metrics_total", ()] == 7


async def test_without_the_extra_the_answer_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    find_spec = importlib.util.find_spec

    def found(name: str, *args: Any) -> object:
        return None if name == "prometheus_client" else find_spec(name, *args)

    monkeypatch.setattr("wsframe.server.monitoring.metrics.find_spec", found)
    monkeypatch.setattr("wsframe.server.check_options.find_spec", found)
    caplog.set_level(logging.INFO)
    async with serving(Echo(), http_handler=ROUTES) as server:
        answer = await get(server.addresses[0])
        assert answer.status == 501
        assert answer.text == "metrics need prometheus-client: pip install 'wsframe[prometheus]'\n"
        assert len([record for record in caplog.records if "501" in record.getMessage()]) == 1
        assert not [record for record in caplog.records if record.levelno > logging.INFO]
    with pytest.raises(ImportError, match=r"metrics_port needs prometheus-client: pip install 'wsframe\[prometheus\]'"):
        wsframe.ServeOptions(metrics_port=0)
