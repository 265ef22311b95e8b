"""The record of the runs, kept as JSON, and the table of it in the documentation."""

from __future__ import annotations

import json
import subprocess
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.backplane.postgres_server import postgres_program
from tests.requirements import require

__all__ = ["PAGE", "RECORD", "note", "table"]

RECORD = Path(__file__).with_name("record.json")
PAGE = Path(__file__).parents[2] / "docs/explanation/engine-faults.inc"
NAMES = {"glide": "Redis, valkey-glide", "coredis": "Redis, coredis", "postgresql": "PostgreSQL"}
HEADS = ("Engine", "Fault", "Detected", "Recovered", "Holes (messages)", "Growth")


def note(engine: str, outcomes: list[dict[str, Any]]) -> None:
    """Keep the outcomes of an engine, and write the table again."""
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    record[engine] = {"date": str(date.today()), "with": versions(engine), "outcomes": outcomes}
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(table(record))


def table(record: dict[str, Any]) -> str:
    """Write the record as a table."""
    lines = [".. Written by nox -s engines, as is all of this table.", "", ".. list-table::", "    :header-rows: 1", ""]
    rows: list[tuple[str, ...]] = [HEADS]
    for engine, run in record.items():
        for one in run["outcomes"]:
            rows.append(row_of(f"{NAMES[engine]} ({run['with']}, {run['date']})", one))  # noqa: PERF401
    for row in rows:
        lines += [f"    {' ' if number else '*'} - {cell}".rstrip() for number, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def row_of(engine: str, one: dict[str, Any]) -> tuple[str, ...]:
    """Write one outcome."""
    return (
        engine,
        one["fault"],
        seconds(one["detected"]),
        seconds(one["recovered"]),
        f"{one['holes']} ({one['missing']})",
        f"{max(0, one['growth']) / 2**20:.0f} MiB",
    )


def seconds(value: float | None) -> str:
    """Write a time."""
    return "" if value is None else f"{value:.2f} s"


def versions(engine: str) -> str:
    """Return the versions of server and library."""
    if engine == "postgresql":
        return f"{told(postgres_program('postgres')).split()[-1]}, psycopg {version('psycopg')}"
    package = {"glide": "valkey-glide", "coredis": "coredis"}[engine]
    return f"{told(require('redis-server')).split('v=')[1].split()[0]}, {package} {version(package)}"


def told(program: str) -> str:
    """Ask a server for its version."""
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split("(")[0]
