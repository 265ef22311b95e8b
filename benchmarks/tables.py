"""Write the results as tables that are also valid reStructuredText."""

from __future__ import annotations

import re
from collections.abc import Sequence

from benchmarks.results import MARKS, Results, Summary
from benchmarks.scenarios import SCENARIOS

__all__ = ["about", "caption", "failures_of", "is_idle", "number", "rows_of", "write_tables"]

Row = tuple[str, ...]

HEADS = ("Server", "us a message", "ratio", "messages/s", "p50 us", "p99 us", "marks")
IDLE_HEADS = ("Server", "KiB a client", "ratio", "marks")


def number(value: float | None) -> str:
    """Write a figure with three digits, or all digits before the point."""
    if value is None:
        return "-"
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 100 else f"{value:.3g}"


def caption(scenario: str) -> str:
    """Return a table's title."""
    known = SCENARIOS.get(scenario)
    return f"{scenario}: {known.about}" if known else scenario


def is_idle(results: Results, scenario: str) -> bool:
    """Return whether memory was measured, not time."""
    figures = (run.figures for run in results.runs if run.scenario == scenario)
    return any(each is not None and each.kib_per_client is not None for each in figures)


def rows_of(results: Results, scenario: str) -> list[Row]:
    """Return the headings and a row for each server, the cheapest first."""
    summaries: list[tuple[str, Summary]] = []
    failed: list[str] = []
    for server in results.servers():
        summary = results.summary(server, scenario)
        if summary is not None:
            summaries.append((server, summary))
        elif any((run.server, run.scenario) == (server, scenario) for run in results.runs):
            failed.append(server)
    summaries.sort(key=lambda each: each[1].cost)
    idle = is_idle(results, scenario)
    rows: list[Row] = [IDLE_HEADS if idle else HEADS]
    for server, each in summaries:
        ratio = "-" if each.ratio is None else f"{each.ratio:.2f}"
        loads = () if idle else (number(each.rate), number(each.p50_us), number(each.p99_us))
        rows.append((server, number(each.cost), ratio, *loads, each.marks or "-"))
    rows += [(server, "failed", *["-"] * (len(rows[0]) - 2)) for server in failed]
    return rows


def table(rows: Sequence[Row]) -> list[str]:
    """Return a simple table, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = " ".join("=" * width for width in widths)
    lines = []
    for row in rows:
        cells = ("\N{EN DASH}" if cell == "-" else cell for cell in row)  # a lone hyphen would begin a list
        first, *others = zip(cells, widths, strict=True)
        lines.append(" ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]))
    return [rule, lines[0], rule, *lines[1:], rule]


def about(results: Results) -> list[tuple[str, str]]:
    """Return machine, settings and versions."""
    return [*results.about.items(), *results.versions.items()]


def write_tables(results: Results) -> str:
    """Return all tables."""
    lines: list[str] = []
    for scenario in results.scenarios():
        lines += [f".. table:: {caption(scenario)}", ""]
        lines += [*(f"   {line}" for line in table(rows_of(results, scenario))), ""]
    used = marks_used(results)
    lists = {
        "Marks": [(mark, meaning) for mark, meaning in MARKS.items() if mark in used],
        "Failed": failures_of(results),
        "Not measured": list(results.missing.items()),
        "Measured": about(results),
    }
    for title, items in lists.items():
        if items:
            lines += [f"{title}:", "", *(f"* {escape(name)}: {escape(value)}" for name, value in items), ""]
    return "\n".join(lines)


def escape(text: str) -> str:
    """Escape text for reStructuredText."""
    if "--" in text and "`" not in text:
        return f"``{text}``"  # else Sphinx makes a dash of two hyphens
    return re.sub(r"[*`|\\]|_(?!\w)", r"\\\g<0>", text)


def marks_used(results: Results) -> str:
    """Return the marks that occur."""
    every = (results.summary(server, scenario) for server in results.servers() for scenario in results.scenarios())
    return "".join(summary.marks for summary in every if summary is not None)


def failures_of(results: Results) -> list[tuple[str, str]]:
    """Return the runs that failed, and why."""
    return [(f"{run.server}, {run.scenario}, round {run.round + 1}", run.failure) for run in results.failures()]
