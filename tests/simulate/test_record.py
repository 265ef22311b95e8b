"""The table in the documentation is that of the record."""

from __future__ import annotations

import json
from pathlib import Path

from tests.simulate.__main__ import counted
from tests.simulate.record import PAGE, RECORD, page

REPORT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase name="test_a[0]"/><testcase name="test_a[1]"><failure/></testcase>
<testcase name="test_a[2]"><error/></testcase><testcase name="test_b[0]"/><testcase name="test_c"/>
</testsuite></testsuites>"""


def test_the_table_is_that_of_the_record() -> None:
    assert PAGE.read_text() == page(json.loads(RECORD.read_text()))


def test_no_cluster_of_the_record_failed() -> None:
    record = json.loads(RECORD.read_text())
    assert record["seeds"] >= 50
    assert record["tests"]
    assert not any(one["failed"] for one in record["tests"].values())


def test_the_cases_of_each_test_with_seeds_are_counted(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    assert counted(report) == {"test_a": {"cases": 3, "failed": 2}, "test_b": {"cases": 1, "failed": 0}}
