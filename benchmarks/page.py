"""Write the results as one self-contained HTML page."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path

from benchmarks.results import MARKS, Results
from benchmarks.tables import about, caption, failures_of, rows_of

__all__ = ["write_page"]

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>wsframe benchmarks</title>
<style>
body {{ font-family: sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; }}
table {{ border-collapse: collapse; margin-bottom: 2em; }}
th, td {{ padding: .2em .7em; text-align: right; border-bottom: 1px solid #ddd; }}
th:first-child, td:first-child {{ text-align: left; }}
tr.own {{ font-weight: bold; }}
img {{ max-width: 100%; }}
</style>
</head>
<body>
<h1>wsframe benchmarks</h1>
<p>The cost is CPU time of the server for each message, or memory for each idle client; less is better.
The ratio is the cost divided by wsframe's cost.</p>
{body}
</body>
</html>
"""


def write_page(results: Results, pictures: Sequence[Path], path: Path) -> None:
    """Write the page, with the pictures inside it."""
    parts = [picture_of(picture) for picture in pictures]
    for scenario in results.scenarios():
        parts += [f"<h2>{escape(caption(scenario))}</h2>", table_of(rows_of(results, scenario))]
    parts += [list_of("Marks", list(MARKS.items()))]
    parts += [list_of("Failed", failures_of(results)), list_of("Not measured", list(results.missing.items()))]
    parts += [list_of("Measured", about(results))]
    path.write_text(PAGE.format(body="\n".join(parts)), encoding="utf-8")


def picture_of(path: Path) -> str:
    data = b64encode(path.read_bytes()).decode()
    return f'<p><img alt="{escape(path.stem)}" src="data:image/png;base64,{data}"></p>'


def table_of(rows: Sequence[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    lines = [f"<table><tr>{head}</tr>"]
    for row in rows[1:]:
        own = ' class="own"' if row[0].startswith("wsframe") else ""
        lines.append(f"<tr{own}>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>")
    return "\n".join([*lines, "</table>"])


def list_of(title: str, items: Sequence[tuple[str, str]]) -> str:
    if not items:
        return ""
    lines = [f"<li>{escape(name)}: {escape(value)}</li>" for name, value in items]
    return "\n".join([f"<h2>{title}</h2>", "<ul>", *lines, "</ul>"])
