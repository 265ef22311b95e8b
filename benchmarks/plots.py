"""Draw the results with matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contestants import REFERENCE
from benchmarks.results import Results
from benchmarks.scenarios import SERIES, Series
from benchmarks.tables import caption, is_idle, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

DPI = 100


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw a picture of the single scenarios and one of each measured series; return the files.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    pictures = []
    points = {name for series in SERIES for _, name in series.points}
    single = [name for name in results.scenarios() if name not in points]
    if single:
        pictures.append(draw_costs(results, single, folder / "costs.png"))
    measured = [each for each in SERIES if sum(name in results.scenarios() for _, name in each.points) > 1]
    return pictures + [draw_series(results, series, folder / f"{series.name}.png") for series in measured]


def colours(results: Results) -> dict[str, str]:
    """Return a colour for each server: one for wsframe in all variants, the next in turn for the others."""
    others = (f"C{number}" for number in (0, 1, 2, 4, 5, 6, 7, 8, 9) * 4)
    return {name: "C3" if name == REFERENCE else next(others) for name in results.servers()}


def draw_costs(results: Results, scenarios: list[str], path: Path) -> Path:
    """Draw one panel of bars for each scenario, the cheapest at the top."""
    from matplotlib.figure import Figure

    columns = min(3, len(scenarios))
    rows = -(-len(scenarios) // columns)
    height = 0.8 + 0.28 * len(results.servers())
    figure = Figure(figsize=(5.2 * columns, height * rows + 0.4), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel, scenario in zip(panels, scenarios, strict=False):
        draw_bars(panel, results, scenario)
    for panel in panels[len(scenarios) :]:
        panel.set_axis_off()
    figure.savefig(path, dpi=DPI)
    return path


def draw_bars(panel: Axes, results: Results, scenario: str) -> None:
    colour = colours(results)
    costs = {server: found.cost for server in results.servers() if (found := results.summary(server, scenario))}
    ordered = sorted(costs, key=lambda server: -costs[server])
    bars = panel.barh(ordered, [costs[name] for name in ordered], color=[colour[name] for name in ordered])
    panel.bar_label(bars, labels=[number(costs[name]) for name in ordered], padding=3, fontsize=8)
    panel.set_title(caption(scenario), fontsize=10)
    panel.set_xlabel("KiB a client" if is_idle(results, scenario) else "server CPU a message, us")
    panel.margins(x=0.15)


def draw_series(results: Results, series: Series, path: Path) -> Path:
    """Draw a line for each server."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    colour = colours(results)
    for server in results.servers():
        found = [(x, results.summary(server, name)) for x, name in series.points]
        points = [(x, summary.cost) for x, summary in found if summary is not None]
        if points:
            width = 2.5 if server == REFERENCE else 1.2
            axes.plot(*zip(*points, strict=True), marker="o", label=server, color=colour[server], linewidth=width)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([x for x, _ in series.points], [number(x) for x, _ in series.points])
    axes.minorticks_off()
    axes.set_title(series.title)
    axes.set_xlabel(series.axis)
    axes.set_ylabel("server CPU a message, us")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=DPI)
    return path
