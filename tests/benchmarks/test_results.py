"""Medians, ratios and marks, and how they are shown."""

from dataclasses import replace
from pathlib import Path

import pytest
from docutils.core import publish_doctree
from docutils.nodes import bullet_list, table, title

from benchmarks.page import write_page
from benchmarks.results import Figures, Results, Run
from benchmarks.scenarios import RECORDED, SCENARIOS, SERIES, USUAL, choose
from benchmarks.tables import number, rows_of, write_tables
from tests.requirements import require_package

CALM = Figures(messages=1000, seconds=1.0, p50_us=50.0, p99_us=90.0, server_cpu=0.01, generator_cpu=0.2, waited=0.0)


def runs(server: str, *rounds: Figures | str, scenario: str = "echo") -> list[Run]:
    return [
        Run(server=server, scenario=scenario, round=number, failure=each)
        if isinstance(each, str)
        else Run(server=server, scenario=scenario, round=number, figures=each)
        for number, each in enumerate(rounds)
    ]


def costing(us: float) -> Figures:
    return replace(CALM, server_cpu=us / 1000)


def test_figures_are_medians_and_ratios_are_to_wsframe() -> None:
    results = Results(runs=[*runs("wsframe", costing(10), costing(11), costing(9.5)), *runs("other", costing(25))])
    own, other = results.summary("wsframe", "echo"), results.summary("other", "echo")
    assert own is not None
    assert other is not None
    assert own.cost == pytest.approx(10)
    assert (own.ratio, own.marks) == (1, "")
    assert (other.cost, other.ratio) == pytest.approx((25, 2.5))
    assert (own.rate, own.p50_us, own.p99_us) == (1000, 50, 90)


def test_without_wsframe_there_is_no_ratio() -> None:
    summary = Results(runs=runs("other", CALM)).summary("other", "echo")
    assert summary is not None
    assert summary.ratio is None


def test_disturbed_rounds_do_not_count_where_there_are_others() -> None:
    disturbed = replace(costing(50), waited=0.5)
    summary = Results(runs=runs("wsframe", costing(10), disturbed, disturbed)).summary("wsframe", "echo")
    assert summary is not None
    assert summary.cost == pytest.approx(10)
    assert summary.marks == ""


@pytest.mark.parametrize(
    ("rounds", "marks"),
    [
        ([replace(CALM, waited=0.11)], "w"),
        ([replace(CALM, generator_cpu=0.91)], "g"),
        ([costing(10), costing(12.5)], "s"),
        ([CALM, "it broke"], "f"),
        ([replace(CALM, waited=0.1, generator_cpu=0.9), costing(11.9)], ""),
    ],
)
def test_marks_say_what_is_doubtful(rounds: list[Figures | str], marks: str) -> None:
    summary = Results(runs=runs("wsframe", *rounds)).summary("wsframe", "echo")
    assert summary is not None
    assert summary.marks == marks


def test_the_cost_of_idle_clients_is_memory() -> None:
    idle = replace(CALM, messages=0, kib_per_client=2.5)
    results = Results(runs=runs("wsframe", idle, scenario="idle"))
    assert rows_of(results, "idle") == [("Server", "KiB a client", "ratio", "marks"), ("wsframe", "2.5", "1.00", "-")]


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    results = Results({"machine": "m"}, {"wsframe": "1"}, {"x": "gone"}, runs("wsframe", CALM, "it broke"))
    results.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == results


def everything() -> Results:
    measured = [
        *runs("dear", costing(200)),
        *runs("wsframe", costing(10), costing(20)),
        *runs("broken", "it <broke_ `*"),
    ]
    return Results({"machine": "m"}, {"wsframe": "1"}, {"absent": "not installed"}, measured)


def test_the_cheapest_is_first_and_what_failed_last() -> None:
    assert rows_of(everything(), "echo")[1:] == [
        ("wsframe", "15", "1.00", "1 000", "50", "90", "s"),
        ("dear", "200", "13.33", "1 000", "50", "90", "-"),
        ("broken", "failed", "-", "-", "-", "-", "-"),
    ]


def test_the_tables_are_restructured_text() -> None:
    tree = publish_doctree(write_tables(everything()), settings_overrides={"report_level": 1, "halt_level": 1})
    (found,) = tree.findall(table)
    assert not list(found.findall(bullet_list))
    (caption,) = found.findall(title)
    assert caption.astext() == "echo: 100 clients, 64 B of text"
    text = tree.astext()
    for told in (
        "s: the rounds lie more than 20% apart",
        "broken, echo, round 1: it <broke_ `*",
        "absent: not installed",
    ):
        assert told in text


def test_the_page_needs_no_other_file(tmp_path: Path) -> None:
    picture = tmp_path / "costs.png"
    picture.write_bytes(b"not really")
    write_page(everything(), [picture], tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text()
    assert 'src="data:image/png;base64,bm90IHJlYWxseQ=="' in page
    assert '<tr class="own"><td>wsframe</td><td>15</td>' in page
    assert "it &lt;broke_ `*" in page
    assert page.count("src=") == 1
    assert "href=" not in page


def test_pictures_are_drawn(tmp_path: Path) -> None:
    require_package("matplotlib")
    from benchmarks.plots import draw

    results = everything()
    for series in SERIES:
        for _, name in series.points:
            results.runs += runs("wsframe", CALM, scenario=name)
    pictures = draw(results, tmp_path)
    assert [path.name for path in pictures] == ["costs.png", *(f"{series.name}.png" for series in SERIES)]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    assert draw(Results(), tmp_path) == []


def test_figures_have_three_digits() -> None:
    assert [number(value) for value in (0.01234, 1.5, 42.25, 123.4, 1234567, None)] == [
        "0.0123", "1.5", "42.2", "123", "1 234 567", "-",
    ]  # fmt: skip


def test_scenarios_are_chosen_by_name_by_series_and_all() -> None:
    assert [each.name for each in choose(["usual"])] == list(USUAL)
    assert [each.name for each in choose(["recorded"])] == list(RECORDED)
    chosen = choose(["echo", "fan-out", "echo"])
    assert [each.name for each in chosen] == ["echo", "fan-out-10", "fan-out-100", "fan-out-1000"]
    assert choose(["all"]) == list(SCENARIOS.values())
    with pytest.raises(KeyError, match="nothing"):
        choose(["nothing"])


def test_two_hyphens_stay_two_hyphens() -> None:
    results = everything()
    results.about["command"] = "python -m benchmarks --list"
    assert "* command: ``python -m benchmarks --list``" in write_tables(results)
