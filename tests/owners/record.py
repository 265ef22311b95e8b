"""The record of the last run, kept as JSON, and the lines about it in the documentation."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

__all__ = ["PAGE", "RECORD", "note", "page"]

RECORD = Path(__file__).with_name("record.json")
PAGE = Path(__file__).parents[2] / "docs/explanation/owners.inc"


def note(record: dict[str, Any]) -> None:
    """Keep a record, and write the lines again."""
    record = {"date": str(date.today()), **record}
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(page(record))


def page(record: dict[str, Any]) -> str:
    """Write the record as a table."""
    lines = [
        f".. Written by nox -s owners, on {record['date']}.",
        "",
        f"{sum(record['rounds'].values())} rounds, {record['nodes']} servers, {record['paths']} paths, a lease of "
        f"{record['lease']:g} s, {record['acts']} acts, {record['owners']} changes of owner, "
        f"{len(record['overlaps'])} acts of an owner after those of a later one.",
        "",
        ".. list-table::",
        "    :header-rows: 1",
        "",
        "    * - Fault",
        "      - Rounds",
        "      - Longest time in which a path did not act, median",
        "      - At most",
    ]
    for fault, rounds in sorted(record["rounds"].items()):
        times = record["without_owner"][fault]
        lines += [
            f"    * - {fault}",
            f"      - {rounds}",
            f"      - {times['median']:.1f} s",
            f"      - {times['most']:.1f} s",
        ]
    return "\n".join(lines) + "\n"
