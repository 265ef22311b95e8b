"""The record of instructions becomes a table of the documentation."""

from __future__ import annotations

from docutils.core import publish_doctree
from docutils.nodes import row

from benchmarks.instructions import LINES, LOADS, figures, page

RECORD = {
    "about": "Medians of 3 runs",
    "instructions": {
        **{load: {"without": [1000.0, 990.0, 2000.0], "with": [1030.0, 1020.0, 1040.0]} for load in LOADS},
        "connection": {line: [500_000.0 + 1000 * len(line)] for line in LINES},
        "scrape": {"with": [1_000_000.0]},
    },
}


def test_the_figures_are_medians() -> None:
    assert figures(RECORD)["echo"] == {"without": 1000.0, "with": 1030.0}


def test_the_page_is_a_table_with_a_row_for_each_load() -> None:
    tree = publish_doctree(page(RECORD), settings_overrides={"halt_level": 2, "report_level": 2})
    rows = [[cell.astext() for cell in one.children] for one in tree.findall(row)]
    assert len(rows) == 1 + len(LOADS) + 2 + 1
    assert rows[1] == ["counters: an echo of 64 bytes, one at a time", "1,000", "1,030", "+3.0%"]
    assert rows[-1][2] == "1,000,000"
