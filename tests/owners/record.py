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
    before = json.loads(RECORD.read_text()) if RECORD.exists() else None
    record = {"date": str(date.today()), **record, "longest": longest(before, rounds_of(record))}
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(page(record))


def rounds_of(record: dict[str, Any]) -> int:
    """Return the number of rounds of a record."""
    return sum(one["rounds"] for one in record["causes"].values())


def longest(before: dict[str, Any] | None, rounds: int) -> dict[str, Any] | None:
    """Return the part that is kept of an earlier run with more rounds; None if there was none."""
    if before is None:
        return None
    kept = {name: before[name] for name in ("date", "acts", "owners", "faults", "late")}
    earlier = [one for one in (before.get("longest"), {**kept, "rounds": rounds_of(before)}) if one is not None]
    most: dict[str, Any] = max(earlier, key=lambda one: int(one["rounds"]))
    return most if most["rounds"] > rounds else None


def page(record: dict[str, Any]) -> str:
    """Write the record as a table."""
    rounds = rounds_of(record)
    lines = [
        f".. Written by nox -s owners, on {record['date']}.",
        "",
        f"{rounds} rounds, {record['nodes']} servers, {record['paths']} paths, a lease of {record['lease']:g} s, "
        f"{record['acts']} acts, {record['echoes']} replies in order, {record['owners']} changes of owner, "
        f"{len(record['faults']) or 'no'} faults, such as an act of an owner after one of a later owner. "
        f"{record['steps']} steps that a stop had interrupted went on after the loss of their lease, each to its next "
        "wait.",
        "",
        *(f"* {fault}" for fault in record["faults"]),
        late(record["late"]),
        "",
        ".. list-table::",
        "    :header-rows: 1",
        "",
        "    * - Fault",
        "      - Rounds",
        "      - Paths taken over",
        "      - Seconds until then, median",
        "      - At most",
        "      - Allowed",
    ]
    for cause, one in sorted(record["causes"].items()):
        lines += [
            f"    * - {cause}",
            f"      - {one['rounds']}",
            f"      - {one['taken']}",
            f"      - {one['median']:.1f}" if one["taken"] else "      -",
            f"      - {one['most']:.1f}" if one["taken"] else "      -",
            f"      - {one['allowed']:g}",
        ]
    lines += [
        "",
        "The time runs from the last act of the old owner to the first of the new one, or from the return of the "
        "engine if that is later.",
    ]  # fmt: skip
    return "\n".join([*lines, *longer_run(record.get("longest"))]) + "\n"


def longer_run(earlier: dict[str, Any] | None) -> list[str]:
    """Write of an earlier run, if there was one with more rounds."""
    if earlier is None:
        return []
    return [
        "",
        f"An earlier run, on {earlier['date']}: {earlier['rounds']} rounds, {earlier['acts']} acts, "
        f"{earlier['owners']} changes of owner, {len(earlier['faults']) or 'no'} faults. {late(earlier['late'])}",
    ]


def late(rounds: list[str]) -> str:
    """Say in how many rounds it took longer than allowed."""
    told = f": {'; '.join(rounds)}" if rounds else ""
    return f"A path was without an owner for longer than allowed in {len(rounds) or 'none'} of them{told}."
