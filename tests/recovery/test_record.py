"""The table in the documentation is that of the record, and the record has all parts."""

from __future__ import annotations

import json

from tests.recovery.record import PAGE, PARTS, RECORD, table


def test_the_table_is_that_of_the_record() -> None:
    assert PAGE.read_text() == table(json.loads(RECORD.read_text()))


def test_the_record_has_the_parts_and_no_failures() -> None:
    record = json.loads(RECORD.read_text())
    assert set(record) == set(PARTS)
    assert [part["failures"] for part in record.values()] == [[]] * len(record)
