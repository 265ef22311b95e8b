"""The record of the last run, kept as JSON, and the lines about it in the documentation."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

__all__ = ["PAGE", "RECORD", "note", "page"]

RECORD = Path(__file__).with_name("record.json")
PAGE = Path(__file__).parents[2] / "docs/explanation/simulation-record.inc"


def note(seeds: int, tests: dict[str, dict[str, int]], seconds: float) -> None:
    """Keep a record, and write the lines again."""
    record = {"date": str(date.today()), "seeds": seeds, "tests": tests, "seconds": round(seconds)}
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(page(record))


def page(record: dict[str, Any]) -> str:
    """Write the record as a table."""
    lines = [
        f".. Written by nox -s simulate, on {record['date']}.",
        "",
        f"{record['seeds']} seeds, in {record['seconds']} s on {record['date']}:",
        "",
        ".. list-table::",
        "    :header-rows: 1",
        "",
        "    * - Rule",
        "      - Clusters",
        "      - Failed",
    ]
    for name, one in sorted(record["tests"].items()):
        rule = name.removeprefix("test_").replace("_", " ")
        lines += [f"    * - {rule}", f"      - {one['cases']}", f"      - {one['failed']}"]
    return "\n".join(lines) + "\n"
