"""The record of the runs, kept as JSON, and its table in the documentation."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

__all__ = ["PAGE", "RECORD", "note", "table"]

RECORD = Path(__file__).with_name("record.json")
PAGE = Path(__file__).parents[2] / "docs/explanation/recovery-record.inc"


def note(name: str, found: dict[str, Any]) -> None:
    """Keep the outcome of one part, and write the table again."""
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    record[name] = {"date": str(date.today()), **found}
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(table(record))


def table(record: dict[str, Any]) -> str:
    """Write the record as a table."""
    lines = [
        ".. Written by nox -s recovery, as is all of this table.",
        "",
        ".. list-table::",
        "    :header-rows: 1",
        "",
    ]
    rows = [("Run", "Seen")]
    for name, write in PARTS.items():
        if name in record:
            rows += [(f"{head} ({record[name]['date']})", seen) for head, seen in write(record[name])]
    for head, seen in rows:
        lines += [f"    * - {head}", f"      - {seen}"]
    return "\n".join(lines) + "\n"


def storm_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Write the storm: our own clients, and those of npm."""
    counts, sdks, nodes = found["counts"], found["sdks"], found["nodes"]
    received = f", received {found['received']} times" if "received" in found else ""
    return [
        (
            f"{found['clients']} clients of our own",
            f"{found['publications']} publications{received}; {counts['cuts']} cuts; {counts['recovered']} recoveries, "
            f"with {counts['publications recovered']} publications that were missed; {counts['refused, too many']} "
            f"clients told that they were away for too long, and {counts['refused, another epoch']} times that the "
            f"history is a new one. All at the same place {found['settled']:.1f} s after the last cut",
        ),
        (
            f"{found['size']} clients of npm's ``centrifuge``",
            f"{sdks['publications']} publications; {sdks['cuts']} cuts; {sdks['recovered']} times ``recovered: true`` "
            f"with all, {sdks['refused']} times ``false``",
        ),
        (
            "The two servers",
            f"{nodes['holes filled']} holes filled, {nodes['holes resync']} told; {found['seconds']:.0f} s of CPU",
        ),
    ]


def one_channel_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Write the storm in which all clients are on one channel."""
    return [(f"{head}, all on one channel", seen) for head, seen in storm_rows(found)]


def deploy_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Write the restart of all workers."""
    return [
        (
            "Restart of all workers",
            f"{found['members']} members, all of whom came back; {found['joins']} joins and {found['leaves']} leaves "
            "were announced",
        )
    ]


def killed_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Write the death of a server with members."""
    return [
        (
            "A server with members is killed",
            f"{found['members']} members left {found['first']:.0f} to {found['last']:.0f} s later",
        )
    ]


PARTS = {"storm": storm_rows, "one_channel": one_channel_rows, "deploy": deploy_rows, "killed": killed_rows}
